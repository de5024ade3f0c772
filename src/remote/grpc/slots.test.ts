import { describe, expect, test } from "bun:test";
import { ManualClock, settle } from "../../../test/fakes/manual-clock.ts";
import { Slots } from "./slots.ts";
import { GrpcError, Status } from "./status.ts";

/** Takes slots, and tells which of them were given by now. */
function room(limit: number) {
  const clock = new ManualClock();
  const slots = new Slots(clock, limit);
  const given: string[] = [];
  const take = (name: string, bytes = 1, timeoutMs = 1_000, signal?: AbortSignal) =>
    slots.take(bytes, timeoutMs, signal).then(
      () => void given.push(name),
      (error: unknown) => void given.push(`${name}: ${(error as GrpcError).fate} ${(error as GrpcError).message}`),
    );
  return { clock, slots, given, take };
}

describe("calls", () => {
  test("wait for their turn, in order", async () => {
    const { slots, given, take } = room(2);
    for (const name of ["a", "b", "c", "d"]) void take(name);
    await settle();
    expect(given).toEqual(["a", "b"]);
    slots.free(1);
    await settle();
    expect(given).toEqual(["a", "b", "c"]);
    slots.free(1);
    await settle();
    slots.free(1);
    slots.free(1);
    void take("e");
    await settle();
    expect(given).toEqual(["a", "b", "c", "d", "e"]);
  });

  test("give up in time or when they are told to: not sent, and nobody's turn is lost", async () => {
    const { clock, slots, given, take } = room(1);
    const controller = new AbortController();
    void take("a");
    void take("late", 1, 100);
    void take("cancelled", 1, 1_000, controller.signal);
    void take("b");
    await clock.advance(100);
    controller.abort();
    await settle();
    const reason = "the server takes 1 streams at once on a connection";
    expect(given).toEqual([
      "a",
      `late: not-sent not sent within 100 ms: ${reason}`,
      "cancelled: not-sent it was cancelled",
    ]);
    slots.free(1);
    await settle();
    expect(given.at(-1)).toBe("b");
    expect(clock.pending).toBe(0);
  });

  test("are held back by bytes, too; a large one alone is let through", async () => {
    const { slots, given, take } = room(100);
    const large = 20_000_000;
    void take("a", large);
    void take("b", large);
    void take("c", 1);
    await settle();
    expect(given).toEqual(["a"]);
    slots.free(large);
    await settle();
    expect(given).toEqual(["a", "b", "c"]);
    slots.free(large);
    slots.free(1);
    void take("d", 10 * large);
    await settle();
    expect(given.at(-1)).toBe("d");
  });

  test("a server may change its mind, and a connection may end", async () => {
    const { slots, given, take } = room(0);
    void take("a");
    void take("b");
    await settle();
    slots.limit = 1;
    await settle();
    expect(given).toEqual(["a"]);
    slots.close(new GrpcError(Status.unavailable, "gone", "not-sent"));
    await settle();
    expect(given).toEqual(["a", "b: not-sent gone"]);
  });
});

test("streams that stay open get half of the room, and do not wait", async () => {
  const { slots, given, take } = room(5);
  slots.takeLasting();
  slots.takeLasting();
  expect(() => slots.takeLasting()).toThrow("the server takes 5 streams at once");
  for (const name of ["a", "b", "c", "d"]) void take(name);
  await settle();
  expect(given).toEqual(["a", "b", "c"]);
  slots.freeLasting();
  await settle();
  expect(given).toEqual(["a", "b", "c", "d"]);
});
