/**
 * What only a real systemd can show: lost buses, a new PID 1, status and journal, why a service is stopped.
 *
 * Runs inside a test host, where everything may be killed.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  connectSystemd,
  HOST_SCOPE,
  type SystemdOptions,
  type SystemdUnitManager,
  unitDependencies,
  unitJournal,
  unitProperties,
  unitStatus,
  usageSamples,
} from "../../src/agent/systemd/index.ts";
import { stopIntent } from "../../src/agent/systemd/stop-intent.ts";
import { SILENT_LOG } from "../../src/lib/log.ts";
import { parseUsageSample, type UsageSample } from "../../src/model/usage.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { monotonicMicroseconds } from "../../src/platform/libc.ts";

const SLEEP = "[Service]\nExecStart=/bin/sleep 1000\n";
const TALKING = "[Service]\nExecStart=/bin/sh -c 'echo one; echo two; exec sleep 1000'\n";
const NEVER_READY = "[Service]\nType=notify\nTimeoutStartSec=infinity\nExecStart=/bin/sleep 1000\n";

function systemctl(...words: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(["systemctl", ...words]);
  if (exitCode !== 0) throw new Error(`Run systemctl ${words.join(" ")}: ${stderr}`);
}

async function textOf<T>(chunks: AsyncGenerator<Uint8Array, T>): Promise<{ text: string; status: T }> {
  let text = "";
  for (;;) {
    const next = await chunks.next();
    if (next.done) return { text, status: next.value };
    text += new TextDecoder().decode(next.value);
  }
}

/** A figure of `systemctl show`; undefined: "[not set]". */
function accounted(property: string, name: string): number | undefined {
  const { stdout } = Bun.spawnSync(["systemctl", "show", `--property=${property}`, "--value", name]);
  const text = stdout.toString().trim();
  return text === "[not set]" ? undefined : Number(text);
}

function children(): string {
  return Bun.spawnSync(["pgrep", "--parent", String(process.pid), "journalctl"]).stdout.toString();
}

export function testSystemd(unitsDirectory: string): SystemdOptions {
  return { unitsDirectory, clock: systemClock, monotonicUs: monotonicMicroseconds, log: SILENT_LOG };
}

export function systemdContract(unitsDirectory: string): void {
  for (const kind of ["system", "private"] as const) {
    describe(`a lost connection to systemd over the ${kind} socket`, () => {
      let units: SystemdUnitManager;
      let events: string[];
      let wake: () => void;
      beforeAll(async () => {
        units = await connectSystemd({ ...testSystemd(unitsDirectory), kinds: [kind] });
        events = [];
        wake = () => {};
        units.subscribe({
          changed: () => {},
          lost: () => {},
          freed: () => {},
          connection: (event) => {
            events.push(event);
            wake();
          },
        });
        await units.load({ name: "lost.service", text: NEVER_READY, install: false, fenced: false });
        await units.load({ name: "kept.service", text: SLEEP, install: false, fenced: false });
        await (await units.start("kept.service")).done;
      });
      afterAll(async () => {
        for (const unit of await units.held()) await units.unload(unit.name);
        units.close();
      });
      async function regained(): Promise<void> {
        while (events.at(-1) !== "regained") {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }

      const faults: [string, string[]][] = [["a new PID 1", ["daemon-reexec"]]];
      if (kind === "system") faults.unshift(["a killed bus", ["kill", "--signal=SIGKILL", "dbus.service"]]);
      for (const [fault, command] of faults) {
        test(`${fault}: jobs are given up, the connection comes back, units run on`, async () => {
          events = [];
          const starting = await units.start("lost.service");
          systemctl(...command);
          await expect(starting.done).rejects.toMatchObject({ code: "disconnected" });
          await regained();
          expect(events).toEqual(["lost", "regained"]);
          const states = await units.states(["kept.service", "lost.service"]);
          expect(states.get("kept.service")?.active).toBe("active");
          expect(states.get("lost.service")?.active).toBe("activating");
          expect(await (await units.stop("lost.service")).done).toBe("done");
        });
      }
    });
  }

  describe("status and journal of a unit", () => {
    const name = "talking.service";
    const { signal } = new AbortController();
    let units: SystemdUnitManager;
    beforeAll(async () => {
      units = await connectSystemd(testSystemd(unitsDirectory));
      await units.load({ name, text: TALKING, install: false, fenced: false });
      await (await units.start(name)).done;
    });
    afterAll(async () => {
      await units.unload(name);
      units.close();
    });

    test("unitStatus() gives what systemctl says, and its exit status", async () => {
      const { text, status } = await textOf(unitStatus(name, signal));
      expect(text).toContain("Active: active (running)");
      expect(status).toBe(0);
      const unknown = await textOf(unitStatus("nope.service", signal));
      expect(unknown).toEqual({ text: "Unit nope.service could not be found.\n", status: 4 });
    });

    test("unitProperties() gives those that were asked for, as systemctl writes them", async () => {
      const { text, status } = await textOf(unitProperties(name, ["Id", "ActiveState"], signal));
      expect([text, status]).toEqual([`Id=${name}\nActiveState=active\n`, 0]);
      expect((await textOf(unitProperties(name, [], signal))).text).toContain("\nSubState=running\n");
    });

    test("unitDependencies() gives systemctl's tree, or its list", async () => {
      const tree = { direction: "requires", all: false, plain: false } as const;
      expect((await textOf(unitDependencies(name, tree, signal))).text).toMatch(
        new RegExp(`^${name}\n● ├─system.slice\n`),
      );
      expect((await textOf(unitDependencies(name, { ...tree, plain: true }, signal))).text).toContain(
        "\n  system.slice\n",
      );
      const after = await textOf(unitDependencies(name, { ...tree, direction: "before" }, signal));
      expect(after.text).toContain("shutdown.target");
    });

    test("usageSamples() says what the unit uses, again and again, and leaves when the reader does", async () => {
      const request = { units: ["nope.service", `${name.slice(0, 3)}*`], intervalMs: 250 };
      const samples: UsageSample[] = [];
      for await (const line of usageSamples(
        { scope: HOST_SCOPE, unitsDirectory, clock: systemClock },
        request,
        signal,
      )) {
        samples.push(parseUsageSample(new TextDecoder().decode(line)));
        if (samples.length === 3) break;
      }
      const [first, , last] = samples;
      if (first === undefined || last === undefined) throw new Error("no samples");
      expect(first.units.map((unit) => unit.name)).toEqual([name]);
      // Hosts whose kernel lends them no memory and pids controllers have nothing to account for: systemd's word counts.
      expect(first.units[0]?.tasks).toBe(accounted("TasksCurrent", name));
      expect(first.units[0]?.memoryBytes === undefined).toBe(accounted("MemoryCurrent", name) === undefined);
      expect(first.units[0]?.cpuNs).toBeGreaterThan(0);
      expect(last.units[0]?.cpuNs).toBeGreaterThanOrEqual(first.units[0]?.cpuNs ?? Number.NaN);
      expect(last.atMs - first.atMs).toBeGreaterThanOrEqual(499);
      expect(first.total.cpuNs).toBeGreaterThan(first.units[0]?.cpuNs ?? Number.NaN);
      const none = { units: ["nope.service"], intervalMs: null };
      const only = await textOf(usageSamples({ scope: HOST_SCOPE, unitsDirectory, clock: systemClock }, none, signal));
      expect(parseUsageSample(only.text).units).toEqual([]);
    });

    test("unitJournal() follows until the reader leaves, and leaves no child", async () => {
      let text = "";
      for await (const chunk of unitJournal(name, { lines: 100, follow: true, output: "cat" }, signal)) {
        text += new TextDecoder().decode(chunk);
        if (text.includes("two\n")) break;
      }
      expect(text).toContain("one\n");
      expect(children()).toBe("");
    });

    test("unitJournal() ends with the signal", async () => {
      const stop = new AbortController();
      const following = unitJournal(name, { lines: 100, follow: true, output: "cat" }, stop.signal);
      await following.next();
      stop.abort();
      expect((await textOf(following)).status).toBe(-1);
      expect(children()).toBe("");
    });

    test("unitJournal() gives as many lines as asked for", async () => {
      const { text, status } = await textOf(unitJournal(name, { lines: 1, follow: false, output: "cat" }, signal));
      expect(text.trim().split("\n").length).toBe(1);
      expect(status).toBe(0);
    });
  });

  describe("the fence", () => {
    const FENCE_MS = 1500;
    let units: SystemdUnitManager;
    let startedAt: number;
    async function launchFenced(name: string, text: string): Promise<void> {
      units = await connectSystemd(testSystemd(unitsDirectory));
      await units.load({ name, text, install: false, fenced: true });
      await (await units.start(name)).done;
      startedAt = performance.now();
      expect(await units.armFence(FENCE_MS)).toBe("kept");
    }
    /** Asks systemctl, since a connection may be gone; returns how long it took. */
    async function untilStopped(name: string): Promise<number> {
      while (Bun.spawnSync(["systemctl", "is-active", name]).exitCode === 0) await Bun.sleep(20);
      return performance.now() - startedAt;
    }
    async function end(): Promise<void> {
      const again = await connectSystemd(testSystemd(unitsDirectory));
      expect(await again.armFence(60_000)).toBe("fired");
      for (const unit of await again.held()) await again.unload(unit.name);
      again.close();
    }

    test("fires without us, however often systemd reads its files or begins anew", async () => {
      await launchFenced("fenced.service", SLEEP);
      units.close();
      for (const verb of ["daemon-reload", "daemon-reload", "daemon-reexec", "daemon-reload"]) {
        await Bun.sleep(FENCE_MS / 8);
        systemctl(verb);
      }
      const tookMs = await untilStopped("fenced.service");
      expect(tookMs).toBeGreaterThan(FENCE_MS);
      expect(tookMs).toBeLessThan(FENCE_MS + 900);
      await end();
    });

    test("an earlier process's timer is stopped by the first of ours", async () => {
      await launchFenced("fenced.service", SLEEP);
      units.close();
      units = await connectSystemd(testSystemd(unitsDirectory));
      expect(await units.armFence(2 * FENCE_MS)).toBe("kept");
      const timers = Bun.spawnSync(["systemctl", "list-units", "--plain", "--no-legend", "flt-fence@*.timer"]);
      expect(timers.stdout.toString().trim().split("\n")).toHaveLength(1);
      expect(await untilStopped("fenced.service")).toBeGreaterThan(2 * FENCE_MS);
      units.close();
      await end();
    });

    test("kills what does not stop in time", async () => {
      const name = "stubborn.service";
      await launchFenced(name, "[Service]\nExecStart=/bin/sh -c 'trap \"\" TERM; while :; do sleep 1; done'\n");
      await untilStopped(name);
      while (Bun.spawnSync(["systemctl", "is-active", name]).stdout.toString() === "deactivating\n")
        await Bun.sleep(20);
      expect(performance.now() - startedAt).toBeLessThan(FENCE_MS + 6_000);
      units.close();
      await end();
    }, 15_000);
  });

  test("stopIntent() of a process that nobody stops is none", async () => {
    expect(await stopIntent({ pid: process.pid, clock: systemClock, log: SILENT_LOG })).toBe("none");
  });
  for (const verb of ["stop", "restart"] as const) {
    test(`stopIntent() of a service in systemctl ${verb} is ${verb}`, async () => {
      const units = await connectSystemd(testSystemd(unitsDirectory));
      const name = `intent-${verb}.service`;
      const text = "[Service]\nExecStart=/bin/sleep 1000\nExecStop=/bin/sleep 1\n";
      await units.load({ name, text, install: false, fenced: false });
      await (await units.start(name)).done;
      const pid = Number(
        Bun.spawnSync(["systemctl", "show", "--property=MainPID", "--value", name]).stdout.toString().trim(),
      );
      systemctl("--no-block", verb, name);
      expect(await stopIntent({ pid, clock: systemClock, log: SILENT_LOG })).toBe(verb);
      await units.unload(name);
      units.close();
    });
  }
}
