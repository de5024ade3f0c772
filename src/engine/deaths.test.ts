import { beforeEach, describe, expect, test } from "bun:test";
import { ManualClock } from "../../test/fakes/manual-clock.ts";
import { machineId } from "../../test/fakes/registry-world.ts";
import { SILENT_LOG } from "../lib/log.ts";
import { DeathWatch } from "./deaths.ts";
import type { WitnessQuestion } from "./ports.ts";

const id = machineId(1);
const config = { daemonGraceMs: 10_000, probeIntervalMs: 1_000, probeTimeoutMs: 500 };

let clock: ManualClock;
let answers: ("alive" | "silent" | "hangs")[];
let asked: number[];
/** What each witness says, by its address. */
let witnesses: Record<string, "alive" | "silent" | "hangs">;
let relayed: [string, number][];
let dead: [string, number][];
let address: string | undefined;
let registered: number;
let watch: DeathWatch;

beforeEach(() => {
  clock = new ManualClock();
  answers = [];
  asked = [];
  witnesses = {};
  relayed = [];
  dead = [];
  address = "10.0.0.1:2380";
  registered = 5;
  const probe = {
    probe(_address: string, signal: AbortSignal): Promise<"alive" | "silent"> {
      asked.push(clock.now());
      const answer = answers.shift() ?? "alive";
      if (answer !== "hangs") return Promise.resolve(answer);
      return new Promise((resolve) => signal.addEventListener("abort", () => resolve("silent")));
    },
    probeFrom({ witness }: WitnessQuestion, signal: AbortSignal): Promise<"alive" | "silent"> {
      relayed.push([witness, clock.now()]);
      const answer = witnesses[witness] ?? "silent";
      if (answer !== "hangs") return Promise.resolve(answer);
      return new Promise((resolve) => signal.addEventListener("abort", () => resolve("silent")));
    },
  };
  watch = new DeathWatch({
    clock,
    log: SILENT_LOG,
    probe,
    config,
    selfId: machineId(9),
    registered: () => registered,
    addressOf: () => address,
    witnessesFor: () => Object.keys(witnesses),
    onDead: (machine) => dead.push([machine, clock.now()]),
  });
});

describe("DeathWatch", () => {
  test("silent twice: dead; the second question comes soon after the first", async () => {
    answers = ["hangs", "hangs"];
    watch.update(new Set([id]));
    await clock.advance(5_000);
    expect(asked).toEqual([0, 610]);
    expect(dead).toEqual([[id, 1_120]]);
  });

  test("silent for us alone: a witness that hears it keeps its units for the grace", async () => {
    answers = Array<"hangs">(100).fill("hangs");
    witnesses = { "10.0.0.2:2380": "hangs", "10.0.0.3:2380": "alive" };
    watch.update(new Set([id]));
    await clock.advance(config.daemonGraceMs - 1);
    expect(dead).toEqual([]);
    expect(relayed.slice(0, 2)).toEqual([
      ["10.0.0.2:2380", 610],
      ["10.0.0.3:2380", 610],
    ]);
    await clock.advance(2_000);
    expect(dead.map(([machine]) => machine)).toEqual([id]);
    expect(clock.pending).toBe(0);
  });

  test("witnesses that hear nothing, or do not answer, cost 150 ms at most", async () => {
    answers = ["hangs", "hangs"];
    witnesses = { "10.0.0.2:2380": "hangs", "10.0.0.3:2380": "silent" };
    watch.update(new Set([id]));
    await clock.advance(5_000);
    expect(dead).toEqual([[id, 1_270]]);
  });

  test("our own ears are enough: nobody waits for a witness that hangs", async () => {
    answers = ["hangs", "alive"];
    witnesses = { "10.0.0.2:2380": "hangs" };
    watch.update(new Set([id]));
    await clock.advance(1_609);
    expect(asked).toEqual([0, 610]);
    await clock.advance(1);
    expect(asked).toEqual([0, 610, 1_610]);
  });

  test("an answer that is found together with the time-out, after a stall, counts", async () => {
    answers = ["hangs"];
    const controller = Promise.withResolvers<"alive">();
    const probe = { probe: () => controller.promise, probeFrom: () => Promise.resolve("silent" as const) };
    const questions = { probe, addressOf: () => address, witnessesFor: () => [], registered: () => registered };
    const options = { clock, log: SILENT_LOG, config, selfId: "", ...questions };
    const stalled = new DeathWatch({ ...options, onDead: (machine) => dead.push([machine, clock.now()]) });
    clock.after(config.probeTimeoutMs + 1, () => controller.resolve("alive"));
    stalled.update(new Set([id]));
    await clock.advance(config.daemonGraceMs - 1);
    expect(dead).toEqual([]);
    stalled.stop();
  });

  test("one silence between answers is no death", async () => {
    answers = ["alive", "silent", "alive", "silent", "alive"];
    watch.update(new Set([id]));
    await clock.advance(config.daemonGraceMs - 1);
    expect(dead).toEqual([]);
    await clock.advance(1);
    expect(dead).toEqual([[id, config.daemonGraceMs]]);
  });

  test.each([
    ["nothing is known of it", undefined, id],
    ["it is the engine's own machine", "10.0.0.9:2380", machineId(9)],
  ])("%s: nobody is asked, the grace holds", async (_why, known, machine) => {
    address = known;
    answers = ["silent", "silent"];
    watch.update(new Set([machine]));
    await clock.advance(config.daemonGraceMs - 1);
    expect([asked, dead]).toEqual([[], []]);
    await clock.advance(1);
    expect(dead).toEqual([[machine, config.daemonGraceMs]]);
  });

  test("a machine without a peer port is dead soon after its lease; the engine's own gets the grace", async () => {
    address = "";
    watch.update(new Set([id, machineId(9)]));
    await clock.advance(config.daemonGraceMs);
    expect(asked).toEqual([]);
    expect(dead).toEqual([
      [id, 1_500],
      [machineId(9), config.daemonGraceMs],
    ]);
  });

  test("a machine without a peer port that is back within a second and a half has lost nothing", async () => {
    address = "";
    watch.update(new Set([id]));
    await clock.advance(1_499);
    watch.update(new Set());
    await clock.advance(60_000);
    expect([dead, clock.pending]).toEqual([[], 0]);
  });

  test("half of the machines gone at once: it was the store, and they get longer to come back; one that does not is dead", async () => {
    address = "";
    registered = 1;
    watch.update(new Set([id, machineId(2)]));
    await clock.advance(4_000);
    registered = 2;
    watch.update(new Set([machineId(2)]));
    await clock.advance(5_999);
    expect(dead).toEqual([]);
    await clock.advance(1);
    expect(dead).toEqual([[machineId(2), 10_000]]);
    // From then on the next one is an ordinary case again.
    registered = 3;
    watch.update(new Set([machineId(3)]));
    await clock.advance(1_500);
    expect(dead.at(-1)).toEqual([machineId(3), 11_500]);
  });

  test("many that are really dead are given up after the longer moment, however often it is looked at", async () => {
    address = "";
    registered = 1;
    const missing = new Set([id, machineId(2)]);
    for (let second = 0; second < 12; second++) {
      watch.update(missing);
      await clock.advance(1_000);
      for (const [machine] of dead) missing.delete(machine);
    }
    expect(dead).toEqual([
      [id, 10_000],
      [machineId(2), 10_000],
    ]);
  });

  test("a machine that is registered again is forgotten, also while it is being asked", async () => {
    answers = ["silent", "hangs"];
    watch.update(new Set([id]));
    await clock.advance(300);
    watch.update(new Set());
    await clock.advance(60_000);
    expect(dead).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  test("gone again: asked anew, the grace begins anew", async () => {
    watch.update(new Set([id]));
    await clock.advance(9_000);
    watch.update(new Set());
    watch.update(new Set([id]));
    await clock.advance(9_000);
    expect(dead).toEqual([]);
    await clock.advance(1_000);
    expect(dead).toEqual([[id, 19_000]]);
  });

  test("stop() leaves no timer behind", async () => {
    answers = ["hangs"];
    watch.update(new Set([id, machineId(2)]));
    await clock.advance(100);
    watch.stop();
    await clock.advance(0);
    expect(clock.pending).toBe(0);
  });
});
