import { expect, test } from "bun:test";
import fc from "fast-check";
import { resultInterface, typeProblem, unitOfPath, unitPath } from "./names.ts";

const PREFIX = "/org/freedesktop/systemd1/unit/";

test("unitPath() escapes as systemd does", () => {
  expect(unitPath("hello.service")).toBe(`${PREFIX}hello_2eservice`);
  expect(unitPath("9a-b@c_d.service")).toBe(`${PREFIX}_39a_2db_40c_5fd_2eservice`);
  expect(unitPath("a\\x2db.mount")).toBe(`${PREFIX}a_5cx2db_2emount`);
});

test("unitOfPath() reads what unitPath() writes", () => {
  const name = fc.string({ unit: fc.constantFrom(..."abzAZ019:-_.\\@"), minLength: 1 });
  fc.assert(fc.property(name, (text) => expect(unitOfPath(unitPath(text))).toBe(text)));
  expect(unitOfPath("/org/freedesktop/systemd1/job/12")).toBeUndefined();
});

test("resultInterface() knows the types that have a result", () => {
  expect(resultInterface("a.service")).toBe("org.freedesktop.systemd1.Service");
  expect(resultInterface("a.b.timer")).toBe("org.freedesktop.systemd1.Timer");
  expect(resultInterface("a.target")).toBeUndefined();
});

test("typeProblem() knows the types that systemd reads no files of", () => {
  for (const name of ["a.busname", "a.scope", "a.snapshot"]) expect(typeProblem(name)).toContain(name.slice(2));
  for (const name of ["a.service", "scope.device", "a.b.slice"]) expect(typeProblem(name)).toBeUndefined();
});
