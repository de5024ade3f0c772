/**
 * validate: the same verdict as a submit, with files and lines, and not a word to any daemon.
 *
 * @module
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { CliWorld } from "../../../test/fakes/cli-world.ts";

const FILE = "[Service]\nExecStart=/bin/true\n";

let world: CliWorld;
beforeEach(() => {
  world = new CliWorld();
  world.connectionError = new Error("no daemon here");
});
afterEach(() => expect(world.requests).toEqual([]));

test("files that are fine: nothing, and 0", async () => {
  world.files.set("units/a.service", FILE);
  world.files.set("web@.service", `${FILE}[X-Fleet]\nConflicts=web@*\n`);
  expect(await world.run("validate", "units/a.service", "units/a", "web@.service", "web@1")).toEqual({
    status: 0,
    out: "",
    err: "",
  });
});

test("faults by file and line; warnings alone are no failure", async () => {
  world.files.set("a.service", `${FILE}[X-Fleet]\nGlobal=true\nMachineID=113f16a7\nMachineOff=x\n`);
  world.files.set("b.service", `${FILE}[X-Fleet]\nMachineOff=x\n`);
  const warning = 'warning: Unknown option "MachineOff" in section [X-Fleet]. Did you mean "MachineOf"?';
  expect(await world.run("validate", "a.service", "b.service")).toEqual({
    status: 1,
    err: "",
    out:
      "a.service:5: error: Cannot use MachineID with Global in [X-Fleet]: a global unit runs on every machine. Remove one of them (line 4)\n" +
      `a.service:6: ${warning}\nb.service:4: ${warning}\n`,
  });
  expect(await world.run("validate", "b.service")).toMatchObject({ status: 0, out: `b.service:4: ${warning}\n` });
  expect(JSON.parse((await world.run("validate", "-o", "json", "b.service")).out)).toEqual([
    { file: "b.service", kind: "warning", line: 4, message: warning.slice("warning: ".length) },
  ]);
});

test("names, files that are not there, files under another name", async () => {
  world.files.set("hello", FILE);
  world.files.set("hello.conf", FILE);
  expect(await world.run("validate", "nobody", "hello", "hello.conf", "a b.service", "x@1")).toEqual({
    status: 1,
    err: "",
    out:
      "nobody: error: There is no such file\n" +
      'hello: error: The file\'s name is no unit name: flt looks for "hello.service"\n' +
      'hello.conf: error: The file\'s name is no unit name: flt looks for "hello.conf.service"\n' +
      'a b.service: error: Cannot use unit name "a b.service": " " is not allowed in it, only letters, digits and ":-_.\\@" are\n' +
      "x@1: error: There is no such file\n",
  });
});

test("stdin, under the name that it is given", async () => {
  world.stdin = "[Timer]\nOnBootSec=1\n";
  expect(await world.run("validate", "--name=a.timer", "-")).toMatchObject({ status: 0, out: "" });
  expect((await world.run("validate", "-")).out).toBe(
    "-: warning: Section [Service] is missing: systemd does not load a service without it\n" +
      '-:2: warning: systemd ignores section "[Timer]": the unit is a service\n',
  );
  expect((await world.run("validate", "--name=a b", "-")).status).toBe(1);
});

test("nothing given, no such output", async () => {
  expect(await world.run("validate")).toEqual({ status: 1, out: "", err: "No files given\n" });
  expect((await world.run("validate", "-o", "xml", "a")).err).toBe('Unknown output "xml": use text or json\n');
});

test("the examples of this tree are without fault", async () => {
  const folder = `${import.meta.dir}/../../../examples`;
  const units = readdirSync(folder).filter((name) => /\.(service|socket|timer|target|path|mount)$/.test(name));
  expect(units.length).toBeGreaterThan(3);
  for (const name of units) world.files.set(name, readFileSync(`${folder}/${name}`, "utf8"));
  expect(await world.run("validate", ...units)).toEqual({ status: 0, out: "", err: "" });
});
