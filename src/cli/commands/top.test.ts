/**
 * top: rates out of samples, printed or refreshed in place, asked for no longer than somebody looks.
 *
 * @module
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { CliWorld, M1, M2 } from "../../../test/fakes/cli-world.ts";
import { settle } from "../../../test/fakes/manual-clock.ts";
import { encodeText } from "../../lib/text.ts";
import { matchesSome, unitSelector } from "../../model/unit-pattern.ts";
import type { UnitUsage } from "../../model/usage.ts";

const MIB = 1_048_576;

let world: CliWorld;
/** What each machine says in its nth sample; throwing: why it says nothing. */
let speak: (id: string, count: number) => UnitUsage[];
let open: number;

beforeEach(() => {
  world = new CliWorld();
  open = 0;
  speak = (id, count) => {
    if (id === M2) return [{ name: "web@2.service", cpuNs: count * 1e9, memoryBytes: 3 * MIB, tasks: 2 }];
    return [
      { name: "db.service", cpuNs: 5e9 + count * 5e8, memoryBytes: 1_536 * MIB, tasks: 30 },
      { name: "web@1.service", cpuNs: count * 15e8 },
    ];
  };
  world.usage = async function* (id, { intervalMs, units }, signal) {
    open += 1;
    try {
      for (let count = 1; !signal.aborted; count++) {
        const all = speak(id, count).filter(({ name }) => units === null || matchesSome(units.map(unitSelector), name));
        const total = { cpuNs: count * 1e9, tasks: 99 };
        yield encodeText(`${JSON.stringify({ atMs: world.clock.now(), total, units: all })}\n`);
        await new Promise<void>((resolve) => {
          world.clock.after(intervalMs ?? 0, resolve);
          signal.addEventListener("abort", () => resolve(), { once: true });
        });
      }
    } finally {
      open -= 1;
    }
  };
});

/** Lets samples come for so many intervals. */
async function pass(intervals: number, intervalMs = 2_000): Promise<void> {
  for (let count = 0; count < intervals; count++) {
    await settle();
    await world.clock.advance(intervalMs);
    await settle();
  }
}

describe("printed", () => {
  test("one picture after one interval: machines, then units, busiest first", async () => {
    const running = world.start(["top"]);
    await settle();
    expect(running.said.out).toBe("");
    await pass(1);
    expect(await running.done).toEqual({
      status: 0,
      err: "",
      out:
        "MACHINE                   CPU%     TIME  MEMORY  TASKS  UNITS\n" +
        "113f16a7.../172.17.8.103  50.0  0:02.00       -     99      2\n" +
        "22222222.../172.17.8.104  50.0  0:02.00       -     99      1\n" +
        "\n" +
        "UNIT           CPU%     TIME  MEMORY  TASKS  MACHINE\n" +
        "web@1.service  75.0  0:03.00       -      -  113f16a7.../172.17.8.103\n" +
        "web@2.service  50.0  0:02.00    3.0M      2  22222222.../172.17.8.104\n" +
        "db.service     25.0  0:06.00    1.5G     30  113f16a7.../172.17.8.103\n",
    });
    await settle();
    expect(open).toBe(0);
  });

  test("several pictures, sorted otherwise, of some units and one machine", async () => {
    const running = world.start(["top", "-b", "-n", "2", "-d", "1", "--sort=name", "-M", "113f", "db", "web@1"]);
    await pass(3, 1_000);
    const { out } = await running.done;
    const units = out.split("\n").filter((line) => line.includes(".service"));
    expect(units.map((line) => line.split(" ")[0])).toEqual([
      "db.service",
      "web@1.service",
      "db.service",
      "web@1.service",
    ]);
    expect(world.requests.at(-1)).toBe(
      `GET /flt/v1/usage?follow=true&intervalMs=1000&machineID=${M1}&unitName=db.service&unitName=web%401.service`,
    );
    const patterns = world.start(["top", "--sort", "memory", "web@*"]);
    await pass(1);
    expect((await patterns.done).out).toMatch(/web@2\.service.*\nweb@1\.service.*\n$/);
  });

  test("as data", async () => {
    const running = world.start(["top", "-o", "json", "web@1"]);
    await pass(1);
    expect(JSON.parse((await running.done).out)).toEqual({
      machines: [M1, M2].map((machine, at) => ({
        machine,
        ip: `172.17.8.10${3 + at}`,
        cpu: 50,
        cpuNs: 2e9,
        memory: null,
        tasks: 99,
        units: 1 - at,
        problem: null,
      })),
      units: [
        { unit: "web@1.service", machine: M1, ip: "172.17.8.103", cpu: 75, cpuNs: 3e9, memory: null, tasks: null },
      ],
    });
  });

  test("a machine that cannot be asked says why; one that says nothing is not waited for for ever", async () => {
    const good = speak;
    speak = (id, count) => {
      if (id === M2) throw Object.assign(new Error("its daemon is away"), { code: "not-sent" });
      return good(id, count);
    };
    const running = world.start(["top", "-n1"]);
    await pass(1);
    expect((await running.done).out).toContain(
      "22222222.../172.17.8.104     -        -       -      -  its daemon is away\n",
    );
    world.usage = async function* (_id, _request, signal) {
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    };
    const silent = world.start(["top"]);
    await pass(4);
    expect(await silent.done).toMatchObject({ status: 0, out: expect.stringContaining("UNIT  CPU%") });
  });

  test("a unit that was started anew has no rate yet", async () => {
    speak = (id, count) => (id === M2 ? [] : [{ name: "db.service", cpuNs: count === 1 ? 9e9 : 1e6 }]);
    const running = world.start(["top"]);
    await pass(1);
    expect((await running.done).out).toMatch(/db\.service +- +0:00\.00/);
  });

  test("refusals, before anything is asked", async () => {
    for (const words of [["--sort=x"], ["-d", "0.1"], ["-d", "61"], ["-o", "yaml"], ["-n", "x"], ["a["], ["a b"]]) {
      expect((await world.run("top", ...words)).status).toBeGreaterThan(0);
    }
    expect(world.requests).toEqual([]);
    expect((await world.run("top", "-M", "9")).err).toContain('Cannot find machine "9"');
  });
});

describe("on a terminal", () => {
  beforeEach(() => {
    world.terminal.stdout = true;
    world.terminal.stdin = true;
    world.terminal.columns = 100;
    world.environment.NO_COLOR = "1";
  });
  const ENTER = "\x1b[?1049h\x1b[?25l";
  const LEAVE = "\x1b[?25h\x1b[?1049l";
  /** The last picture's lines. */
  const lines = (out: string): string[] => {
    const last = out.slice(out.lastIndexOf("\x1b[H") + 3);
    return last.replace(LEAVE, "").replaceAll("\x1b[K", "").replaceAll("\x1b[J", "").split("\r\n");
  };
  const units = (out: string): string[] =>
    lines(out)
      .filter((line) => line.includes(".service"))
      .map((line) => line.split(" ")[0] ?? "");

  test("is refreshed in place, sorts by key, and gives the screen back at q", async () => {
    const running = world.start(["top"]);
    await settle();
    expect(running.said.out).toStartWith(ENTER);
    expect(world.terminal.isReading).toBe(true);
    await pass(3);
    expect(units(running.said.out)).toEqual(["web@1.service", "web@2.service", "db.service"]);
    world.terminal.type("m");
    expect(units(running.said.out)).toEqual(["db.service", "web@2.service", "web@1.service"]);
    expect(lines(running.said.out).at(-1)).toStartWith("by memory   q quit");
    world.terminal.type("q");
    const { status, out, err } = await running.done;
    expect([status, err]).toEqual([0, ""]);
    expect(out).toEndWith(LEAVE);
    expect(world.terminal.isReading).toBe(false);
    await settle();
    expect(open).toBe(0);
  });

  test("headings are bold, cut or not", async () => {
    delete world.environment.NO_COLOR;
    world.environment.TERM = "xterm";
    world.terminal.columns = 12;
    const running = world.start(["top"]);
    await pass(1);
    expect(lines(running.said.out).slice(0, 2)).toEqual(["\x1b[1mMACHINE    \x1b[0m", "113f16a7..."]);
    world.terminal.type("q");
    await running.done;
  });

  test("what does not fit is counted", async () => {
    world.terminal.rows = 7;
    world.terminal.columns = 40;
    const running = world.start(["top"]);
    await pass(2);
    const shown = lines(running.said.out);
    expect(shown).toHaveLength(7);
    expect(Math.max(...shown.map((line) => line.length))).toBeLessThan(40);
    world.terminal.type("\x03");
    expect((await running.done).status).toBe(0);
  });

  test("Ctrl-C as a signal, and a lost daemon, give the screen back, too", async () => {
    const running = world.start(["top"]);
    await pass(1);
    running.interrupt();
    expect(await running.done).toMatchObject({ status: 130, out: expect.stringMatching(/\x1b\[\?1049l$/) });
    const lost = world.start(["top"]);
    await pass(1);
    world.cutStreams();
    await settle();
    expect(await lost.done).toMatchObject({ status: 1, out: expect.stringMatching(/\x1b\[\?1049l$/) });
    expect(world.terminal.isReading).toBe(false);
  });

  test("--batch prints, as do a number and a format", async () => {
    for (const words of [["-b"], ["-n", "1"], ["-o", "json"]]) {
      const running = world.start(["top", ...words]);
      await pass(1);
      expect((await running.done).out).not.toContain("\x1b[?1049h");
    }
  });
});
