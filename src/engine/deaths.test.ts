import { beforeEach, describe, expect, test } from "bun:test";
import { ManualClock } from "../../test/fakes/manual-clock.ts";
import { machineId } from "../../test/fakes/registry-world.ts";
import { SILENT_LOG } from "../lib/log.ts";
import { DeathWatch } from "./deaths.ts";

const id = machineId(1);
const config = { daemonGraceMs: 10_000, probeIntervalMs: 1_000, probeTimeoutMs: 500 };

let clock: ManualClock;
let answers: ("alive" | "silent" | "hangs")[];
let asked: number[];
let dead: [string, number][];
let address: string;
let watch: DeathWatch;

beforeEach(() => {
  clock = new ManualClock();
  answers = [];
  asked = [];
  dead = [];
  address = "10.0.0.1:2380";
  const probe = {
    probe(_address: string, signal: AbortSignal): Promise<"alive" | "silent"> {
      asked.push(clock.now());
      const answer = answers.shift() ?? "alive";
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
    addressOf: () => address,
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

  test("an answer that is found together with the time-out, after a stall, counts", async () => {
    answers = ["hangs"];
    const controller = Promise.withResolvers<"alive">();
    const probe = { probe: () => controller.promise };
    const options = { clock, log: SILENT_LOG, probe, config, selfId: "", addressOf: () => address };
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
    ["no address is known", "", id],
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
