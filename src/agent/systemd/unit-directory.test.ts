import { afterEach, beforeEach, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostFile, hostUnit, isMask, linkedUnits, templateOf } from "./ownership.ts";
import { UnitDirectory } from "./unit-directory.ts";

let root: string;
let directory: UnitDirectory;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "flt-units-"));
  directory = new UnitDirectory(join(root, "units"));
  directory.prepare();
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const sha1 = (text: string) => createHash("sha1").update(text).digest("hex");

test("what is written is held, by the hash of its bytes, until it is removed", () => {
  directory.write("b.service", "[Service]\nExecStart=/bin/ß\n");
  directory.write("a@1.timer", "");
  directory.setLaunched("b.service", true);
  expect(directory.list()).toEqual([
    { name: "a@1.timer", hash: sha1(""), launched: false, fenced: false },
    { name: "b.service", hash: sha1("[Service]\nExecStart=/bin/ß\n"), launched: true, fenced: false },
  ]);
  directory.remove("b.service");
  expect(directory.list().map((unit) => unit.name)).toEqual(["a@1.timer"]);
  directory.write("b.service", "");
  expect(directory.list().find((unit) => unit.name === "b.service")?.launched).toBe(false);
});

test("another process finds it as it was, without what was half written", () => {
  directory.write("a.service", "x");
  directory.setLaunched("a.service", true);
  writeFileSync(join(directory.path, ".tmp", "half.service"), "hal");
  const next = new UnitDirectory(directory.path);
  next.prepare();
  expect(next.list()).toEqual([{ name: "a.service", hash: sha1("x"), launched: true, fenced: false }]);
  expect(readdirSync(join(directory.path, ".tmp"))).toEqual([]);
});

test("what is no unit file is passed over", () => {
  writeFileSync(join(directory.path, "README"), "hello");
  mkdirSync(join(directory.path, "a.service"));
  symlinkSync("/etc/passwd", join(directory.path, "b.service"));
  expect(directory.list()).toEqual([]);
});

test("names that could lead elsewhere, or that systemd does not take, are refused", () => {
  for (const name of ["../a.service", "a/b.service", ".launched", "a", "", `${"a".repeat(248)}.service`]) {
    expect(() => directory.write(name, "x")).toThrow(expect.objectContaining({ code: "rejected" }));
    expect(() => directory.remove(name)).toThrow(expect.objectContaining({ code: "rejected" }));
    expect(() => directory.setLaunched(name, true)).toThrow(expect.objectContaining({ code: "rejected" }));
  }
  expect(readdirSync(join(directory.path, ".launched"))).toEqual([]);
});

test("an order is marked before it is given, and what it says counts once it was answered", () => {
  directory.write("a.service", "x");
  const launched = () => directory.list()[0]?.launched;
  directory.beginOrder("a.service", "start");
  expect([launched(), directory.isLaunched("a.service"), [...directory.marked()]]).toEqual([null, null, ["a.service"]]);
  directory.endOrder("a.service", false);
  expect(launched()).toBe(false);
  directory.beginOrder("a.service", "start");
  directory.prepare();
  expect(launched()).toBeNull();
  directory.beginOrder("a.service", "start");
  directory.endOrder("a.service", true);
  expect(launched()).toBe(true);
  directory.beginOrder("a.service", "stop");
  expect(launched()).toBeNull();
  directory.endOrder("a.service", true);
  expect(launched()).toBe(true);
  directory.beginOrder("a.service", "stop");
  directory.endOrder("a.service", false);
  expect([launched(), [...directory.marked()]]).toEqual([false, []]);
  directory.beginOrder("a.service", "stop");
  expect(launched()).toBe(false);
});

test("folders that somebody took away are made again by the next look, or write", () => {
  rmSync(directory.path, { recursive: true });
  expect(directory.exists).toBe(false);
  expect(directory.list()).toEqual([]);
  expect(directory.exists).toBe(true);
  rmSync(directory.path, { recursive: true });
  directory.write("a.service", "x");
  directory.setLaunched("a.service", true);
  expect(directory.has("a.service")).toBe(true);
  expect(directory.list().map((unit) => unit.launched)).toEqual([true]);
});

test("linkedUnits() are those with a link to a file of ours, there or not", () => {
  const run = join(root, "run");
  expect(linkedUnits(directory.path, run)).toEqual([]);
  mkdirSync(run);
  for (const name of ["a.service", "b.service"]) symlinkSync(join(directory.path, name), join(run, name));
  symlinkSync(join(directory.path, "a.service"), join(run, "alias.service"));
  symlinkSync("/dev/null", join(run, "c.service"));
  writeFileSync(join(run, "d.service"), "x");
  directory.write("a.service", "x");
  expect(linkedUnits(directory.path, run).toSorted()).toEqual(["a.service", "b.service"]);
});

test("isMask() knows both kinds; templateOf() an instance's template", () => {
  const file = join(root, "m.service");
  expect(isMask(file)).toBe(false);
  writeFileSync(file, "");
  expect(isMask(file)).toBe(true);
  rmSync(file);
  symlinkSync("/dev/null", file);
  expect(isMask(file)).toBe(true);
  const names = ["getty@tty1.service", "a@.service", "a.service", "a@b@c.d.socket"];
  expect(names.map(templateOf)).toEqual(["getty@.service", undefined, undefined, "a@.socket"]);
});

test("files are readable by all and written by their owner only", () => {
  directory.write("a.service", "x");
  expect(statSync(join(directory.path, "a.service")).mode & 0o777).toBe(0o644);
});

test("a directory that cannot be used says so", () => {
  const file = join(root, "file");
  writeFileSync(file, "");
  expect(() => new UnitDirectory(join(file, "units")).prepare()).toThrow(
    expect.objectContaining({ code: "directory" }),
  );
  chmodSync(file, 0o600);
});

test("hostFile() finds the host's own file, and neither ours nor a link into the void", () => {
  const own = directory.fileOf("a.service");
  const etc = join(root, "etc");
  const run = join(root, "run");
  for (const folder of [etc, run]) mkdirSync(folder);
  expect(hostFile("a.service", own, [etc, run, join(root, "missing")])).toBeUndefined();
  directory.write("a.service", "x");
  symlinkSync(own, join(run, "a.service"));
  expect(hostFile("a.service", own, [etc, run])).toBeUndefined();
  symlinkSync(join(root, "nowhere"), join(etc, "a.service"));
  expect(hostFile("a.service", own, [etc, run])).toBeUndefined();
  rmSync(join(etc, "a.service"));
  symlinkSync("/dev/null", join(etc, "a.service"));
  expect(hostFile("a.service", own, [etc, run])).toBe(join(etc, "a.service"));
  rmSync(join(etc, "a.service"));
  writeFileSync(join(etc, "a.service"), "host's");
  expect(hostFile("a.service", own, [run, etc])).toBe(join(etc, "a.service"));
  expect(existsSync(own)).toBe(true);
});

test("hostUnit() tells the host's units in memory from ours", () => {
  const own = "/run/flt/units/a.service";
  const runtime = "/run/systemd/system";
  const from = (fragmentPath: string, loadState = "loaded") =>
    hostUnit("a.service", own, runtime, { loadState, fragmentPath });
  expect(from("", "not-found")).toBeUndefined();
  expect(from("", "masked")).toBeUndefined();
  expect(from(own)).toBeUndefined();
  expect(from("/run/systemd/system/a.service")).toBeUndefined();
  expect(from("/lib/systemd/system/a@.service")).toContain("/lib/systemd/system/a@.service");
  expect(from("/run/systemd/transient/a.service")).toContain("transient");
  expect(from("")).toBe("it made it itself");
  expect(hostUnit("a.slice", own, runtime, { loadState: "loaded", fragmentPath: "" })).toBeUndefined();
  expect(hostUnit("system.slice", own, runtime, { loadState: "loaded", fragmentPath: "" })).toBe("it made it itself");
});
