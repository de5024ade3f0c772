import { expect, test } from "bun:test";
import fc from "fast-check";
import type { JobState } from "../model/states.ts";
import type { Scheduled } from "../registry/types.ts";
import { type Actual, planTasks, planUnit } from "./plan.ts";

const NAME = "a.service";
const want = (desiredState: JobState, hash = "h1"): Scheduled => ({ name: NAME, hash, desiredState });
const nothing: Actual = { hash: null, launched: false };
const loaded: Actual = { hash: "h1", launched: false };
const launched: Actual = { hash: "h1", launched: true };

const cases: readonly [string, Scheduled | undefined, Actual, string][] = [
  ["not wanted, not held", undefined, nothing, ""],
  ["not wanted, held", undefined, loaded, "unload"],
  ["not wanted, launched", undefined, launched, "unload"],
  ["inactive is not wanted", want("inactive"), launched, "unload"],
  ["to be loaded", want("loaded"), nothing, "load"],
  ["is loaded", want("loaded"), loaded, ""],
  ["launched, to be loaded", want("loaded"), launched, "stop"],
  ["to be launched", want("launched"), nothing, "load start"],
  ["loaded, to be launched", want("launched"), loaded, "start"],
  ["is launched: whatever became of it, it is not started again", want("launched"), launched, ""],
  ["file replaced, loaded", want("loaded", "h2"), loaded, "unload load"],
  ["file replaced, launched", want("launched", "h2"), launched, "unload load start"],
  ["file replaced, launched, to be loaded", want("loaded", "h2"), launched, "unload load"],
  [
    "its file is gone: it comes back, and nothing else happens",
    want("launched"),
    { ...launched, lost: true },
    "restore",
  ],
  ["its file is gone, and nobody saw it", want("launched"), { hash: "", launched: true, lost: true }, "restore"],
  ["its file is gone, another one is wanted", want("loaded", "h2"), { ...launched, lost: true }, "unload load"],
  ["its file is gone, to be loaded", want("loaded"), { ...launched, lost: true }, "restore stop"],
  ["its file is gone, not wanted", undefined, { ...launched, lost: true }, "unload"],
  [
    "nobody knows whether its last order was heard, to be launched",
    want("launched"),
    { ...loaded, launched: null },
    "start",
  ],
  [
    "nobody knows whether its last order was heard, to be loaded",
    want("loaded"),
    { ...loaded, launched: null },
    "stop",
  ],
  ["refused for good", want("launched"), { ...loaded, refused: want("launched") }, ""],
  ["refused, something else is wanted now", want("loaded"), { ...launched, refused: want("launched") }, "stop"],
  ["refused, but not wanted any more", undefined, { ...loaded, refused: want("launched") }, "unload"],
];
for (const [title, wanted, actual, tasks] of cases) {
  test(`planUnit(): ${title}: ${tasks || "nothing"}`, () => {
    const planned = planUnit(NAME, wanted, actual);
    expect(planned.map((task) => task.kind).join(" ")).toBe(tasks);
    for (const task of planned) expect(task.reason).not.toBe("");
  });
}

test("planTasks() does all unloads first, then loads, stops and starts", () => {
  const wanted = new Map<string, Scheduled>([
    ["new.service", { name: "new.service", hash: "n", desiredState: "launched" }],
    ["stop.service", { name: "stop.service", hash: "s", desiredState: "loaded" }],
    ["other.service", { name: "other.service", hash: "o2", desiredState: "launched" }],
  ]);
  const actual = new Map<string, Actual>([
    ["stop.service", { hash: "s", launched: true }],
    ["other.service", { hash: "o1", launched: true }],
    ["gone.service", { hash: "g", launched: true }],
  ]);
  const names = ["new.service", "stop.service", "other.service", "gone.service"];
  expect(planTasks(names, wanted, actual).map((task) => `${task.kind} ${task.name}`)).toEqual([
    "unload other.service",
    "unload gone.service",
    "load new.service",
    "load other.service",
    "stop stop.service",
    "start new.service",
    "start other.service",
  ]);
});

test("doing what was planned leaves nothing to plan", () => {
  const state = fc.constantFrom<JobState>("inactive", "loaded", "launched");
  const hash = fc.constantFrom("h1", "h2");
  const wanted = fc.option(fc.record({ name: fc.constant(NAME), hash, desiredState: state }), { nil: undefined });
  const actual = fc.record({ hash: fc.option(hash, { nil: null }), launched: fc.boolean() });
  fc.assert(
    fc.property(wanted, actual, (scheduled, before) => {
      let held: Actual = before.hash === null ? nothing : before;
      for (const task of planUnit(NAME, scheduled, held)) {
        if (task.kind === "unload") held = nothing;
        if (task.kind === "load") held = { hash: task.hash, launched: false };
        if (task.kind === "start") held = { ...held, launched: true };
        if (task.kind === "stop") held = { ...held, launched: false };
      }
      expect(planUnit(NAME, scheduled, held)).toEqual([]);
      const isWanted = scheduled !== undefined && scheduled.desiredState !== "inactive";
      expect(held.hash).toBe(isWanted ? scheduled.hash : null);
      expect(held.launched).toBe(isWanted && scheduled.desiredState === "launched");
    }),
  );
});
