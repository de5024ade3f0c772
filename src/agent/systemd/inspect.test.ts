import { expect, test } from "bun:test";
import { unitDependencies, unitJournal, unitProperties, unitStatus } from "./inspect.ts";

const { signal } = new AbortController();
const tree = { direction: "requires", all: false, plain: false } as const;
const journal = { lines: 10, follow: false, output: "short" };

test("what is no unit name never reaches a command line", () => {
  for (const name of ["--help", "-n", "a b.service", "a.service\n", "../x.service", ""]) {
    expect(() => unitStatus(name, signal)).toThrow(expect.objectContaining({ code: "bad-request" }));
    expect(() => unitJournal(name, journal, signal)).toThrow(expect.objectContaining({ code: "bad-request" }));
    expect(() => unitProperties(name, [], signal)).toThrow(expect.objectContaining({ code: "bad-request" }));
    expect(() => unitDependencies(name, tree, signal)).toThrow(expect.objectContaining({ code: "bad-request" }));
  }
});

test("lines and output are checked", () => {
  for (const lines of [-1, 1.5, Number.NaN, 1e9]) {
    expect(() => unitJournal("a.service", { ...journal, lines }, signal)).toThrow("lines must be");
  }
  for (const since of ["", " ", "1h;x", "a\nb", "today\0", "x".repeat(101)]) {
    expect(() => unitJournal("a.service", { ...journal, since }, signal)).toThrow("is no time");
  }
  expect(() => unitJournal("a.service", { ...journal, output: "short --merge" }, signal)).toThrow(
    'output "short --merge" is not one of short',
  );
});

test("names of properties are words", () => {
  for (const property of ["", "Id,Names", "--all", "a b", "Id\n", "1a", "x".repeat(65)]) {
    expect(() => unitProperties("a.service", ["Id", property], signal)).toThrow("is no name of a property");
  }
});

test("an aborted signal starts nothing", async () => {
  expect(await unitStatus("a.service", AbortSignal.abort()).next()).toEqual({ done: true, value: -1 });
});
