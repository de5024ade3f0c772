/**
 * Leadership: one engine at most, whatever raft and the store say in whatever order.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { ManualClock, settle } from "../../test/fakes/manual-clock.ts";
import { SILENT_LOG } from "../lib/log.ts";
import { Leadership } from "./leadership.ts";

/** Counts engines; `become` waits for the test when it holds the gate. */
function world(options: { readonly failures?: number } = {}) {
  const clock = new ManualClock();
  let failures = options.failures ?? 0;
  const state = { running: 0, mostAtOnce: 0, begun: 0, depose: () => {}, onStop: () => {}, gate: Promise.resolve() };
  const leadership = new Leadership({
    clock,
    log: SILENT_LOG,
    async become(onDeposed) {
      state.begun++;
      await state.gate;
      if (failures-- > 0) throw new Error("no quorum");
      state.depose = () => onDeposed("another one leads");
      state.running++;
      state.mostAtOnce = Math.max(state.mostAtOnce, state.running);
      return {
        stop() {
          state.running--;
          state.onStop();
          return Promise.resolve();
        },
      };
    },
  });
  return { clock, leadership, state };
}

describe("Leadership", () => {
  test("the engine runs while raft leads here, and not after", async () => {
    const { leadership, state } = world();
    leadership.set(true);
    await settle();
    expect([state.running, leadership.leads]).toEqual([1, true]);
    leadership.set(false);
    await settle();
    expect([state.running, leadership.leads]).toEqual([0, false]);
  });

  test("a key that cannot be taken is tried for again, as long as raft leads here", async () => {
    const { clock, leadership, state } = world({ failures: 2 });
    leadership.set(true);
    await clock.advance(1000);
    expect([state.begun, state.running]).toEqual([3, 1]);
    expect(clock.pending).toBe(0);
  });

  test("raft's word that comes while the key is being taken is not lost", async () => {
    const { leadership, state } = world();
    const gate = Promise.withResolvers<void>();
    state.gate = gate.promise;
    leadership.set(true);
    leadership.set(false);
    gate.resolve();
    await settle();
    expect([state.running, leadership.leads]).toEqual([0, false]);
  });

  test("deposed by the store while raft still leads here: the old engine ends before a new one begins", async () => {
    const { leadership, state } = world();
    leadership.set(true);
    await settle();
    state.depose();
    await settle();
    expect([state.begun, state.running, state.mostAtOnce]).toEqual([2, 1, 1]);
  });

  test("stop() ends the engine, also one that is just starting", async () => {
    const { leadership, state } = world();
    const gate = Promise.withResolvers<void>();
    state.gate = gate.promise;
    leadership.set(true);
    const stopped = leadership.stop();
    gate.resolve();
    await stopped;
    expect(state.running).toBe(0);
  });

  test("raft's word is not lost, however few microtasks after the last change it comes", async () => {
    for (let delay = 0; delay < 20; delay++) {
      const { leadership, state } = world();
      leadership.set(true);
      await settle();
      leadership.set(false);
      for (let i = 0; i < delay; i++) await Promise.resolve();
      leadership.set(true);
      await settle();
      expect([delay, state.running]).toEqual([delay, 1]);
    }
  });

  test("an engine that finds itself deposed while it is being stopped does not come back unasked", async () => {
    const { leadership, state } = world();
    state.onStop = () => state.depose();
    leadership.set(true);
    await settle();
    leadership.set(false);
    await settle();
    expect([state.begun, state.running]).toEqual([1, 0]);
  });

  test("the late word of an engine that is gone does not end its successor", async () => {
    const { leadership, state } = world();
    leadership.set(true);
    await settle();
    const late = state.depose;
    leadership.set(false);
    leadership.set(true);
    await settle();
    leadership.set(false);
    await settle();
    leadership.set(true);
    await settle();
    const begun = state.begun;
    late();
    await settle();
    expect([state.begun, state.running]).toEqual([begun, 1]);
  });

  test("an attempt that waits for another's office ends with the wish, and without a retry", async () => {
    const clock = new ManualClock();
    let begun = 0;
    const leadership = new Leadership({
      clock,
      log: SILENT_LOG,
      become: (_onDeposed, signal) =>
        new Promise((_resolve, reject) => {
          begun++;
          signal.addEventListener("abort", () => reject(new Error("given up")));
        }),
    });
    leadership.set(true);
    leadership.set(true);
    await clock.advance(60_000);
    expect(begun).toBe(1);
    leadership.set(false);
    await clock.advance(60_000);
    expect([begun, clock.pending]).toEqual([1, 0]);
    await leadership.stop();
  });

  test("an office that is lost before the engine runs ends the engine at once", async () => {
    const { leadership, state } = world();
    let told = false;
    state.onStop = () => (told = true);
    const gate = Promise.withResolvers<void>();
    state.gate = gate.promise;
    leadership.set(true);
    await settle();
    gate.resolve();
    await settle();
    state.depose();
    state.depose();
    await settle();
    expect([told, state.begun, state.running]).toEqual([true, 2, 1]);
  });

  test("after stop() nothing starts an engine again", async () => {
    const { leadership, state } = world();
    await leadership.stop();
    leadership.set(true);
    await settle();
    expect(state.begun).toBe(0);
  });
});
