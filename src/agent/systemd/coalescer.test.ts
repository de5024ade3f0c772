import { expect, test } from "bun:test";
import { settle } from "../../../test/fakes/manual-clock.ts";
import { Coalescer } from "./coalescer.ts";

test("the first name goes at once, those that come meanwhile go together", async () => {
  const calls: (readonly string[])[] = [];
  const gates: PromiseWithResolvers<void>[] = [];
  const coalescer = new Coalescer(async (names) => {
    calls.push(names);
    const gate = Promise.withResolvers<void>();
    gates.push(gate);
    await gate.promise;
  });
  const all = ["a", "b", "c"].map((name) => coalescer.add(name));
  expect(calls).toEqual([["a"]]);
  gates[0]?.resolve();
  await settle();
  expect(calls).toEqual([["a"], ["b", "c"]]);
  gates[1]?.resolve();
  await Promise.all(all);
  void coalescer.add("d");
  expect(calls.at(-1)).toEqual(["d"]);
});

test("in a batch that fails only the culprit fails", async () => {
  const coalescer = new Coalescer(async (names) => {
    await settle();
    if (names.includes("bad")) throw new Error("no such unit");
  });
  const outcomes = await Promise.allSettled(["first", "good", "bad", "fine"].map((name) => coalescer.add(name)));
  expect(outcomes.map((outcome) => outcome.status)).toEqual(["fulfilled", "fulfilled", "rejected", "fulfilled"]);
});
