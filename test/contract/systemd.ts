/**
 * What only a real systemd can show: lost buses, a new PID 1, status and journal, why a service is stopped.
 *
 * Runs inside a test host, where everything may be killed.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connectSystemd, type SystemdUnitManager, unitJournal, unitStatus } from "../../src/agent/systemd/index.ts";
import { stopIntent } from "../../src/agent/systemd/stop-intent.ts";
import { SILENT_LOG } from "../../src/lib/log.ts";
import { systemClock } from "../../src/platform/clock.ts";

const SLEEP = "[Service]\nExecStart=/bin/sleep 1000\n";
const TALKING = "[Service]\nExecStart=/bin/sh -c 'echo one; echo two; exec sleep 1000'\n";
const NEVER_READY = "[Service]\nType=notify\nTimeoutStartSec=infinity\nExecStart=/bin/sleep 1000\n";

function systemctl(...words: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(["systemctl", ...words]);
  if (exitCode !== 0) throw new Error(`Run systemctl ${words.join(" ")}: ${stderr}`);
}

async function textOf(chunks: AsyncGenerator<Uint8Array, number>): Promise<{ text: string; status: number }> {
  let text = "";
  for (;;) {
    const next = await chunks.next();
    if (next.done) return { text, status: next.value };
    text += new TextDecoder().decode(next.value);
  }
}

function children(): string {
  return Bun.spawnSync(["pgrep", "--parent", String(process.pid), "journalctl"]).stdout.toString();
}

export function systemdContract(unitsDirectory: string): void {
  for (const kind of ["system", "private"] as const) {
    describe(`a lost connection to systemd over the ${kind} socket`, () => {
      let units: SystemdUnitManager;
      let events: string[];
      let wake: () => void;
      beforeAll(async () => {
        units = await connectSystemd({ unitsDirectory, clock: systemClock, log: SILENT_LOG, kinds: [kind] });
        events = [];
        wake = () => {};
        units.subscribe({
          changed: () => {},
          connection: (event) => {
            events.push(event);
            wake();
          },
        });
        await units.load({ name: "lost.service", text: NEVER_READY, install: false });
        await units.load({ name: "kept.service", text: SLEEP, install: false });
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
      units = await connectSystemd({ unitsDirectory, clock: systemClock, log: SILENT_LOG });
      await units.load({ name, text: TALKING, install: false });
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

  test("stopIntent() of a process that nobody stops is none", async () => {
    expect(await stopIntent({ pid: process.pid, clock: systemClock, log: SILENT_LOG })).toBe("none");
  });
  for (const verb of ["stop", "restart"] as const) {
    test(`stopIntent() of a service in systemctl ${verb} is ${verb}`, async () => {
      const units = await connectSystemd({ unitsDirectory, clock: systemClock, log: SILENT_LOG });
      const name = `intent-${verb}.service`;
      const text = "[Service]\nExecStart=/bin/sleep 1000\nExecStop=/bin/sleep 1\n";
      await units.load({ name, text, install: false });
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
