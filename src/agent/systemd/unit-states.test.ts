/**
 * What systemd's signals and its answers add up to, and when it is told.
 *
 * @module
 */
import { beforeEach, expect, test } from "bun:test";
import { settle } from "../../../test/fakes/manual-clock.ts";
import { SILENT_LOG } from "../../lib/log.ts";
import { UnitManagerError } from "../unit-manager.ts";
import { UnitStates } from "./unit-states.ts";

/** What systemd answers: the unit's states now, and its result. */
let now: { active: string; sub: string; result: string };
/** Answers come when this is called. */
let answer: () => void;
let refusal: UnitManagerError | null;
let told: string[];
let states: UnitStates;

beforeEach(() => {
  now = { active: "active", sub: "running", result: "success" };
  refusal = null;
  told = [];
  let gate = Promise.withResolvers<void>();
  answer = () => {
    gate.resolve();
    gate = Promise.withResolvers<void>();
  };
  states = new UnitStates({
    calls: {
      async call(_member, _signature, [names]) {
        await gate.promise;
        if (refusal !== null) throw refusal;
        return [(names as string[]).map((name) => [name, "", "loaded", now.active, now.sub])];
      },
      property: async () => now.result,
    },
    log: SILENT_LOG,
    onChange: (name, { active, sub, result }) => void told.push(`${name} ${active}/${sub} ${result ?? "-"}`),
    onUnlinked: () => {},
  });
  for (const name of ["a.service", "a.target"]) states.loaded(name);
});

test("a failure is told once, with its result, as soon as that is read", async () => {
  states.hear("a.service", "active", "running");
  states.hear("a.service", "failed", "failed");
  expect(told).toEqual(["a.service active/running -"]);
  now = { active: "failed", sub: "failed", result: "exit-code" };
  answer();
  await settle();
  expect(told).toEqual(["a.service active/running -", "a.service failed/failed exit-code"]);
  // systemd's tools may make it say the same again.
  states.hear("a.service", "failed", "failed");
  await settle();
  expect(told).toHaveLength(2);
});

test("what comes while the result is asked for is told at once, and is what is left", async () => {
  states.hear("a.service", "failed", "failed");
  states.hear("a.service", "activating", "auto-restart");
  expect(told).toEqual(["a.service activating/auto-restart -"]);
  now = { active: "failed", sub: "failed", result: "exit-code" };
  answer();
  await settle();
  expect(told.at(-1)).toBe("a.service activating/auto-restart -");
});

test("a type without results, and a systemd that cannot be asked: told all the same", async () => {
  states.hear("a.target", "failed", "failed");
  expect(told).toEqual(["a.target failed/failed -"]);
  refusal = new UnitManagerError("disconnected", "The connection to systemd is down");
  states.hear("a.service", "failed", "failed");
  answer();
  await settle();
  expect(told.at(-1)).toBe("a.service failed/failed -");
});
