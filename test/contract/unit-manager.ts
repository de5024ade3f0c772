/**
 * The contract of UnitManager, for the fake (in `bun test`) and for a real systemd (inside a host; test/hosts).
 *
 * @module
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import type { UnitCondition, UnitManager } from "../../src/agent/unit-manager.ts";

export interface Subject {
  readonly units: UnitManager;
  /** A unit that the host has itself. */
  readonly hostUnit: string;
  /** What others on the host do. */
  readonly deleteFile: (name: string) => void;
  readonly mask: (name: string) => void;
  readonly unmask: (name: string) => void;
  readonly close: () => Promise<void>;
}

const SLEEP = "[Service]\nExecStart=/bin/sleep 1000\n";
const ONESHOT = "[Service]\nType=oneshot\nExecStart=/bin/true\n";
const FAILING = "[Service]\nType=oneshot\nExecStart=/bin/false\n";
const NEVER_READY = "[Service]\nType=notify\nTimeoutStartSec=infinity\nExecStart=/bin/sleep 1000\n";
const WITH_INSTALL = `${SLEEP}\n[Install]\nWantedBy=multi-user.target\n`;
const FENCED = `${SLEEP}\n[X-Flt]\nFence=strict\n`;
const BAD_INSTALL = `${SLEEP}\n[Install]\nWantedBy=/bad/name\n`;

let counter = 0;
function fresh(): string {
  return `flt-contract-${process.pid}-${counter++}.service`;
}

export function unitManagerContract(title: string, make: () => Promise<Subject>): void {
  describe(`UnitManager: ${title}`, () => {
    let subject: Subject;
    let units: UnitManager;
    let heard: { name: string; condition: UnitCondition }[];
    let told: string[];
    let unsubscribe: () => void;
    let wake: () => void;

    beforeEach(async () => {
      subject = await make();
      units = subject.units;
      heard = [];
      told = [];
      wake = () => {};
      unsubscribe = units.subscribe({
        changed: (name, condition) => {
          heard.push({ name, condition });
          wake();
        },
        lost: (name) => {
          told.push(`lost ${name}`);
          wake();
        },
        freed: (name) => {
          told.push(`freed ${name}`);
          wake();
        },
        connection: () => {},
      });
    });
    afterEach(async () => {
      unsubscribe();
      for (const unit of await units.held()) await units.unload(unit.name);
      await subject.close();
    });

    /** Resolves when the last state heard of the unit is this one. */
    async function untilActive(name: string, active: string): Promise<UnitCondition> {
      for (;;) {
        const last = heard.findLast((entry) => entry.name === name)?.condition;
        if (last?.active === active) return last;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
    async function untilTold(what: string): Promise<void> {
      while (!told.includes(what)) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
    async function load(name: string, text: string): Promise<string> {
      return await units.load({
        name,
        text,
        install: text.includes("[Install]"),
        fenced: text.includes("Fence=strict"),
      });
    }
    async function start(name: string): Promise<string> {
      return await (await units.start(name)).done;
    }
    async function stateOf(name: string): Promise<UnitCondition | undefined> {
      return (await units.states([name])).get(name);
    }
    async function heldOf(name: string) {
      return (await units.held()).find((unit) => unit.name === name);
    }

    test("a loaded unit is held by the hash of its file, loaded and not active", async () => {
      const name = fresh();
      expect(await load(name, SLEEP)).toBe("none");
      const hash = createHash("sha1").update(SLEEP).digest("hex");
      expect(await heldOf(name)).toEqual({ name, hash, launched: false, fenced: false });
      expect(await stateOf(name)).toEqual({ load: "loaded", active: "inactive", sub: "dead" });
    });

    test("a started unit is active, tells so, and is held as launched", async () => {
      const name = fresh();
      await load(name, SLEEP);
      expect(await start(name)).toBe("done");
      expect(await untilActive(name, "active")).toEqual({ load: "loaded", active: "active", sub: "running" });
      expect((await heldOf(name))?.launched).toBe(true);
    });

    test("a stopped unit is inactive and no longer launched", async () => {
      const name = fresh();
      await load(name, SLEEP);
      await start(name);
      expect(await (await units.stop(name)).done).toBe("done");
      await untilActive(name, "inactive");
      expect((await heldOf(name))?.launched).toBe(false);
    });

    test("a oneshot that has ended is still launched", async () => {
      const name = fresh();
      await load(name, ONESHOT);
      expect(await start(name)).toBe("done");
      expect((await stateOf(name))?.active).toBe("inactive");
      expect((await heldOf(name))?.launched).toBe(true);
    });

    test("a failed start says failed, and its result", async () => {
      const name = fresh();
      await load(name, FAILING);
      expect(await start(name)).toBe("failed");
      expect(await stateOf(name)).toEqual({ load: "loaded", active: "failed", sub: "failed", result: "exit-code" });
    });

    test("a condition that is not met: the start is skipped", async () => {
      const name = fresh();
      await load(name, `[Unit]\nConditionPathExists=/nonexistent\n\n${SLEEP}`);
      expect(["skipped", "done"]).toContain(await start(name));
      expect((await stateOf(name))?.active).toBe("inactive");
    });

    test("a start that hangs can be stopped: its job is cancelled", async () => {
      const name = fresh();
      await load(name, NEVER_READY);
      const starting = await units.start(name);
      await untilActive(name, "activating");
      const stopping = await units.stop(name);
      expect(await starting.done).toBe("canceled");
      expect(await stopping.done).toBe("done");
    });

    test("an unloaded unit is gone, its failure forgotten", async () => {
      const name = fresh();
      await load(name, FAILING);
      await start(name);
      expect(await units.unload(name)).toBe("none");
      expect(await heldOf(name)).toBeUndefined();
      expect((await stateOf(name))?.load).toBe("not-found");
    });

    test("unloading a running unit stops it", async () => {
      const name = fresh();
      await load(name, SLEEP);
      await start(name);
      await units.unload(name);
      await untilActive(name, "inactive");
      expect((await stateOf(name))?.load).toBe("not-found");
    });

    test("a unit that refuses to be stopped by hand is unloaded all the same", async () => {
      const name = fresh();
      await load(name, `[Unit]\nRefuseManualStop=yes\n\n${SLEEP}`);
      await start(name);
      await expect(units.stop(name)).rejects.toMatchObject({ code: "rejected" });
      expect((await stateOf(name))?.active).toBe("active");
      await units.unload(name);
      expect(await heldOf(name)).toBeUndefined();
      expect(await stateOf(name)).toMatchObject({ load: "not-found", active: "inactive" });
    });

    test("unloading what is not held does nothing", async () => {
      await units.unload(fresh());
      await units.unload(subject.hostUnit);
    });

    test("unloaded and loaded with other content: the new one runs, without a reload", async () => {
      const name = fresh();
      await load(name, FAILING);
      await start(name);
      await units.unload(name);
      expect(await load(name, SLEEP)).toBe("none");
      expect(await start(name)).toBe("done");
      expect((await stateOf(name))?.active).toBe("active");
    });

    test("a unit with [Install] is loaded, runs and goes away again", async () => {
      const name = fresh();
      expect(await load(name, WITH_INSTALL)).toBe("later");
      await units.reload();
      expect(await start(name)).toBe("done");
      // multi-user.target still wants it, in systemd's memory.
      expect(await units.unload(name)).toBe("later");
      expect(await heldOf(name)).toBeUndefined();
      await units.reload();
      expect(await stateOf(name)).toMatchObject({ load: "not-found", active: "inactive" });
    });

    test("units that are enabled with each other (Also=) go one by one", async () => {
      const [one, other] = [fresh(), fresh()];
      await load(one, `${WITH_INSTALL}Also=${other}\n`);
      await load(other, `${WITH_INSTALL}Also=${one}\n`);
      await units.reload();
      await units.unload(one);
      await units.reload();
      expect((await stateOf(one))?.load).toBe("not-found");
      expect((await stateOf(other))?.load).toBe("loaded");
      expect(await start(other)).toBe("done");
      await units.unload(other);
      await units.reload();
      expect((await stateOf(other))?.load).toBe("not-found");
    });

    test("a changed file that systemd has in memory asks for a reload before the start", async () => {
      const name = fresh();
      await load(name, `${FAILING}\n[Install]\nWantedBy=multi-user.target\n`);
      await units.reload(); // Now multi-user.target refers to it, and keeps it in memory.
      await units.unload(name);
      expect(await load(name, SLEEP)).toBe("before-start");
      await units.reload();
      expect(await start(name)).toBe("done");
      expect((await stateOf(name))?.active).toBe("active");
    });

    test("an [Install] section that cannot be enabled fails the load and leaves nothing", async () => {
      const name = fresh();
      await expect(load(name, BAD_INSTALL)).rejects.toMatchObject({ code: "rejected" });
      expect(await heldOf(name)).toBeUndefined();
    });

    test("a name that the host has itself is refused, and the host's unit left alone", async () => {
      const before = await stateOf(subject.hostUnit);
      await expect(load(subject.hostUnit, SLEEP)).rejects.toMatchObject({ code: "name-taken" });
      expect(await heldOf(subject.hostUnit)).toBeUndefined();
      expect(await stateOf(subject.hostUnit)).toEqual(before);
    });

    test("a unit whose file was deleted is told, and held without a hash; restored, it is as it was", async () => {
      const name = fresh();
      await load(name, SLEEP);
      await start(name);
      const before = heard.length;
      subject.deleteFile(name);
      await untilTold(`lost ${name}`);
      expect(await heldOf(name)).toEqual({ name, hash: null, launched: true, fenced: false });
      await units.restore({ name, text: SLEEP, install: false, fenced: false }, true);
      const hash = createHash("sha1").update(SLEEP).digest("hex");
      expect(await heldOf(name)).toEqual({ name, hash, launched: true, fenced: false });
      await units.reload();
      expect(await stateOf(name)).toEqual({ load: "loaded", active: "active", sub: "running" });
      expect(heard.slice(before).filter(({ condition }) => condition.active !== "active")).toEqual([]);
    });

    test("a unit whose file was deleted is unloaded all the same", async () => {
      const name = fresh();
      await load(name, SLEEP);
      await start(name);
      subject.deleteFile(name);
      await untilTold(`lost ${name}`);
      await units.unload(name);
      expect(await heldOf(name)).toBeUndefined();
      await units.reload();
      expect(await stateOf(name)).toMatchObject({ load: "not-found", active: "inactive" });
    });

    test("a masked name is refused, and told when it is free", async () => {
      const name = fresh();
      subject.mask(name);
      await expect(load(name, SLEEP)).rejects.toMatchObject({
        code: "name-taken",
        message: expect.stringContaining("is masked"),
      });
      expect(await heldOf(name)).toBeUndefined();
      subject.unmask(name);
      await untilTold(`freed ${name}`);
      await load(name, SLEEP);
      expect(await start(name)).toBe("done");
      expect((await stateOf(name))?.active).toBe("active");
    });

    test("a start that systemd refuses is rejected with its words", async () => {
      const name = fresh();
      await load(name, `[Unit]\nRequires=flt-contract-missing.service\n\n${SLEEP}`);
      await expect(units.start(name)).rejects.toMatchObject({
        code: "rejected",
        message: expect.stringContaining("flt-contract-missing.service not found"),
      });
    });

    test("starting what runs is done at once and restarts nothing", async () => {
      const name = fresh();
      await load(name, SLEEP);
      await start(name);
      const before = heard.length;
      expect(await start(name)).toBe("done");
      expect(heard.length).toBe(before);
    });

    test("a fence that nobody puts off stops the fenced units, and says so once", async () => {
      const [fenced, free] = [fresh(), fresh()];
      await load(fenced, FENCED);
      await load(free, SLEEP);
      await start(fenced);
      await start(free);
      expect(await units.armFence(200)).toBe("kept");
      await untilActive(fenced, "inactive");
      expect(await heldOf(fenced)).toMatchObject({ launched: false, fenced: true });
      expect(await heldOf(free)).toMatchObject({ launched: true, fenced: false });
      expect((await stateOf(free))?.active).toBe("active");
      expect(await units.armFence(60_000)).toBe("fired");
      expect(await units.armFence(60_000)).toBe("kept");
      expect(await start(fenced)).toBe("done");
      expect((await stateOf(fenced))?.active).toBe("active");
    });

    test("a fence that is put off fires later", async () => {
      const name = fresh();
      await load(name, FENCED);
      await start(name);
      const begin = performance.now();
      await units.armFence(200);
      await units.armFence(700);
      await untilActive(name, "inactive");
      expect(performance.now() - begin).toBeGreaterThan(690);
      expect(await units.armFence(60_000)).toBe("fired");
    });

    test("a hundred units at once", async () => {
      const names = Array.from({ length: 100 }, fresh);
      await Promise.all(names.map((name) => load(name, SLEEP)));
      for (let at = 0; at < names.length; at += 50) await Promise.all(names.slice(at, at + 50).map(start));
      const states = await units.states(names);
      expect(names.every((name) => states.get(name)?.active === "active")).toBe(true);
      await Promise.all(names.map((name) => units.unload(name)));
      expect(await units.held()).toEqual([]);
    });
  });
}
