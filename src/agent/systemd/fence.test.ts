/**
 * The fence's timers, files and script, on a systemd that is a list of names; on a real one: test/contract/systemd.ts.
 *
 * @module
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Order, UnitManagerError } from "../unit-manager.ts";
import { BusRefusal } from "./bus.ts";
import { SystemdFence } from "./fence.ts";
import { HOST_SCOPE } from "./scope.ts";
import { UnitDirectory } from "./unit-directory.ts";

/** Knows which timers run, and fails the next call of a member on demand. */
class Timers {
  readonly running = new Set<string>();
  failing: string | null = null;
  /** No room for a timer while the folder of this path has a file. */
  full: string | null = null;

  async call(_member: string, _signature: string, body: readonly unknown[]): Promise<readonly unknown[]> {
    const [, [pattern]] = body as [unknown, string[]];
    const suffix = pattern?.endsWith(".timer") === true ? ".timer" : ".service";
    return [[...this.running].filter((name) => name.endsWith(suffix)).map((name) => [name])];
  }
  async ownProperty(): Promise<unknown> {
    return 0n;
  }
  async order(member: string, _signature: string, [name]: readonly unknown[]): Promise<Order> {
    if (this.full !== null && member === "StartTransientUnit" && readdirSync(this.full).length > 0) {
      throw new BusRefusal("org.freedesktop.systemd1.NoSuchUnit", "Unit not found");
    }
    if (this.failing === member) {
      this.failing = null;
      // As when the answer is lost: it is done all the same.
      if (member === "StartTransientUnit") this.running.add(String(name));
      throw new UnitManagerError("timeout", "systemd did not answer");
    }
    if (member === "StartTransientUnit") this.running.add(String(name));
    else this.running.delete(String(name));
    return { done: Promise.resolve("done") };
  }
}

let root: string;
let timers: Timers;
let fence: SystemdFence;
const inUnits = (name: string) => join(root, "units", name);
const serviceFile = () => join(root, "system", "flt-fence@.service");

let now = 0n;

/** Of another process, as far as it knows. */
function makeFence(): SystemdFence {
  const directory = new UnitDirectory(join(root, "units"));
  directory.prepare();
  return new SystemdFence({
    directory,
    scope: { ...HOST_SCOPE, runtimeUnits: join(root, "system") },
    calls: timers,
    monotonicUs: () => ++now,
  });
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "flt-fence-"));
  timers = new Timers();
  fence = makeFence();
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

test("each time there is one timer, a new one", async () => {
  await fence.arm(1_000);
  const [first] = timers.running;
  await fence.arm(1_000);
  expect([...timers.running]).toHaveLength(1);
  expect(timers.running).not.toContain(first);
});

for (const member of ["StopUnit", "StartTransientUnit"]) {
  test(`${member} fails: the timer that it leaves is stopped the next time`, async () => {
    await fence.arm(1_000);
    timers.failing = member;
    await expect(fence.arm(1_000)).rejects.toThrow("did not answer");
    expect([...timers.running]).toHaveLength(2);
    await fence.arm(1_000);
    expect([...timers.running]).toHaveLength(1);
  });
}

test("that it has fired is told also when the first try to arm it anew fails", async () => {
  await fence.arm(1_000);
  writeFileSync(inUnits(".fence-fired"), "");
  timers.failing = "StartTransientUnit";
  await expect(fence.arm(1_000)).rejects.toThrow("did not answer");
  expect(await fence.arm(1_000)).toBe("fired");
  expect(await fence.arm(1_000)).toBe("kept");
});

test("no room for a timer: the reserve is given up for it, and taken again", async () => {
  await fence.arm(1_000);
  const [first] = timers.running;
  timers.full = inUnits(".reserve");
  expect(readdirSync(timers.full)).toHaveLength(4);
  for (let time = 0; time < 3; time++) expect(await fence.arm(1_000)).toBe("kept");
  expect([...timers.running]).toHaveLength(1);
  expect(timers.running).not.toContain(first);
  expect(readdirSync(timers.full)).toHaveLength(4);
});

test("systemd refuses for another reason: that is what is told", async () => {
  await fence.arm(1_000);
  timers.full = root;
  await expect(fence.arm(1_000)).rejects.toThrow("Unit not found");
});

test("script and service are there again when somebody took them away, or emptied them", async () => {
  await fence.arm(1_000);
  const before = [readFileSync(inUnits(".fence.sh"), "utf8"), readFileSync(serviceFile(), "utf8")];
  rmSync(join(root, "units"), { recursive: true });
  rmSync(join(root, "system"), { recursive: true });
  await fence.arm(1_000);
  expect([readFileSync(inUnits(".fence.sh"), "utf8"), readFileSync(serviceFile(), "utf8")]).toEqual(before);
  writeFileSync(inUnits(".fence.sh"), "");
  await fence.arm(1_000);
  expect(readFileSync(inUnits(".fence.sh"), "utf8")).toBe(before[0] ?? "");
});

test("they are not written again while they are as they should be: /run may be full", async () => {
  await fence.arm(1_000);
  const before = [inUnits(".fence.sh"), serviceFile()].map((file) => statSync(file).ino);
  // A write in place would empty a file first.
  for (const file of [inUnits(".fence.sh"), serviceFile()]) utimesSync(file, 1, 1);
  await makeFence().arm(1_000);
  const after = [inUnits(".fence.sh"), serviceFile()].map((file) => statSync(file));
  expect(after.map(({ ino, mtimeMs }) => [ino, mtimeMs])).toEqual(before.map((ino) => [ino, 1_000]));
});

/** Runs the script with a systemctl that writes down what it is told. */
function runScript(): { readonly told: string; readonly launched: boolean } {
  const bin = join(root, "bin");
  mkdirSync(bin);
  writeFileSync(join(bin, "systemctl"), `#!/bin/sh\necho "$@" >> "${root}/told"\n`);
  chmodSync(join(bin, "systemctl"), 0o755);
  Bun.spawnSync(["/bin/sh", inUnits(".fence.sh")], { env: { PATH: `${bin}:/usr/bin:/bin` } });
  return {
    told: existsSync(join(root, "told")) ? readFileSync(join(root, "told"), "utf8") : "",
    launched: existsSync(inUnits(".launched/a.service")),
  };
}

test("the script stops the fenced units, and marks that it did", async () => {
  await fence.arm(1_000);
  for (const mark of [".fenced/a.service", ".fenced/-b.service", ".launched/a.service"])
    writeFileSync(inUnits(mark), "");
  expect(runScript()).toEqual({ told: "stop -- -b.service a.service\n", launched: false });
  expect(existsSync(inUnits(".fence-fired"))).toBe(true);
});

test("the script stops them also when it cannot leave its mark", async () => {
  await fence.arm(1_000);
  writeFileSync(inUnits(".fenced/a.service"), "");
  mkdirSync(inUnits(".fence-fired"));
  expect(runScript().told).toBe("stop -- a.service\n");
});
