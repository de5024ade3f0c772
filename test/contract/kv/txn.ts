/**
 * Kv contract: transactions (etcd's API guide, "Transaction"; etcd's tests of its v3 API for the corners).
 *
 * @module
 */
import { expect, test } from "bun:test";
import { encodeText } from "../../../src/lib/text.ts";
import { type Compare, MAX_TXN_OPS, type Op, type TxnResponse } from "../../../src/store/kv.ts";
import { expectRefused, type Room } from "./room.ts";

export function txnContract(open: () => Room): void {
  const holds = async (room: Room, ...compare: readonly Compare[]): Promise<boolean> =>
    (await room.kv.txn({ compare, success: [], failure: [] })).succeeded;

  test("all operations of one transaction share one revision and see each other", async () => {
    const room = open();
    await room.put("old", "1");
    const { revision, succeeded, results } = await room.write(
      room.putOp("a", "1"),
      { op: "range", ...room.all() },
      { op: "delete", key: room.key("old"), prevKv: true },
      { op: "range", ...room.all() },
    );
    expect(succeeded).toBe(true);
    expect(results.map((result) => result.op)).toEqual(["put", "range", "delete", "range"]);
    const shown = results.map((result) => (result.op === "range" ? room.show(result.kvs) : result.op));
    expect(shown).toEqual(["put", "a=1 old=1", "delete", "a=1"]);
    expect((await room.get("a"))?.modRevision).toBe(revision);
    expect(await room.revision()).toBe(revision);
  });

  test("compares see value, version, revisions and lease", async () => {
    const room = open();
    const created = await room.put("a", "m");
    const changed = await room.put("a", "n");
    const key = room.key("a");
    const value = (result: Compare["result"], text: string): Compare => ({
      key,
      result,
      target: "value",
      value: encodeText(text),
    });
    expect(await holds(room, value("=", "n"), value("!=", "m"), value("<", "o"), value(">", "m"))).toBe(true);
    expect(await holds(room, value("=", "n"), value("=", "m"))).toBe(false);
    const figures = { version: 2, create: created, mod: changed, lease: 0 } as const;
    for (const [target, figure] of Object.entries(figures) as [keyof typeof figures, number][]) {
      for (const offset of [-1, 0, 1]) {
        if (figure + offset < 0) continue;
        const outcome = async (result: Compare["result"]) =>
          holds(room, { key, target, result, value: figure + offset });
        expect(await outcome("=")).toBe(offset === 0);
        expect(await outcome("!=")).toBe(offset !== 0);
        expect(await outcome("<")).toBe(offset > 0);
        expect(await outcome(">")).toBe(offset < 0);
      }
    }
  });

  test("an absent key has version, revisions and lease 0, and no value to compare", async () => {
    const room = open();
    const key = room.key("nobody");
    for (const target of ["version", "create", "mod", "lease"] as const) {
      expect(await holds(room, { key, target, result: "=", value: 0 })).toBe(true);
      expect(await holds(room, { key, target, result: ">", value: 0 })).toBe(false);
    }
    for (const result of ["=", "!=", "<", ">"] as const) {
      expect(await holds(room, { key, target: "value", result, value: new Uint8Array() })).toBe(false);
    }
  });

  test("a compare over a range holds when it holds for every key", async () => {
    const room = open();
    await room.put("a", "x");
    await room.put("b", "x");
    const compare = { ...room.all(), target: "value", result: "=", value: encodeText("x") } as const;
    expect(await holds(room, compare)).toBe(true);
    await room.put("c", "y");
    expect(await holds(room, compare)).toBe(false);
    expect(await holds(room, { ...compare, ...room.span("a", "c") })).toBe(true);
  });

  test("the branch taken is success only if every compare holds", async () => {
    const room = open();
    const request = {
      compare: [{ key: room.key("a"), target: "version", result: "=", value: 0 } as const],
      success: [room.putOp("a", "mine")],
      failure: [{ op: "range", key: room.key("a") } as const],
    };
    expect((await room.kv.txn(request)).succeeded).toBe(true);
    const before = await room.revision();
    const second = await room.kv.txn(request);
    expect([second.succeeded, second.revision, second.results[0]?.op]).toEqual([false, before, "range"]);
    expect(await room.value("a")).toBe("mine");
  });

  test("nested transactions: all compares look at the state before", async () => {
    const room = open();
    const absent: Compare = { key: room.key("a"), target: "version", result: "=", value: 0 };
    const { results } = await room.write(room.putOp("a", "outer"), {
      op: "txn",
      compare: [absent],
      success: [room.putOp("b", "saw nothing"), { op: "range", key: room.key("a") }],
      failure: [room.putOp("b", "saw it")],
    });
    const inner = results[1] as { readonly op: "txn" } & TxnResponse;
    expect([inner.op, inner.succeeded, inner.results.length]).toEqual(["txn", true, 2]);
    expect(inner.results[1]).toMatchObject({ op: "range", count: 1 });
    expect(await room.value("b")).toBe("saw nothing");
  });

  test("delete counts and returns what it removed", async () => {
    const room = open();
    for (const name of ["a", "b", "c"]) await room.put(name, name);
    const { results } = await room.write({ op: "delete", ...room.span("a", "c"), prevKv: true });
    const result = results[0];
    if (result?.op !== "delete") throw new Error("Not a delete's result");
    expect([result.deleted, room.show(result.prevKvs)]).toEqual([2, "a=a b=b"]);
    expect((await room.write({ op: "delete", ...room.all() })).results).toEqual([
      { op: "delete", deleted: 1, prevKvs: [] },
    ]);
    expect((await room.write({ op: "delete", ...room.all() })).results[0]).toMatchObject({ deleted: 0 });
  });

  test("put can return, keep or insist on what was there", async () => {
    const room = open();
    const put = (options: object): Op => ({ op: "put", key: room.key("a"), value: new Uint8Array(), ...options });
    await expectRefused(room.write(put({ ignoreValue: true })), "key-not-found");
    await expectRefused(room.write(put({ ignoreLease: true })), "key-not-found");
    expect((await room.write(put({ value: encodeText("1"), prevKv: true }))).results).toEqual([{ op: "put" }]);
    const { results } = await room.write(put({ value: encodeText("2"), prevKv: true }));
    expect(results[0]?.op === "put" && results[0].prev && room.show([results[0].prev])).toBe("a=1");
    await room.write(put({ ignoreValue: true }));
    expect(await room.get("a")).toMatchObject({ value: encodeText("2"), version: 3 });
    await expectRefused(room.write(put({ ignoreValue: true, value: encodeText("3") })), "invalid-request");
    await expectRefused(room.write(put({ ignoreLease: true, lease: 7 })), "invalid-request");
  });

  test("a key may be changed once: twice is refused, also through nesting", async () => {
    const room = open();
    const nested = (success: readonly Op[], failure: readonly Op[] = []): Op => ({
      op: "txn",
      compare: [],
      success,
      failure,
    });
    const a = room.putOp("a", "1");
    const refused: readonly (readonly Op[])[] = [
      [a, room.putOp("a", "2")],
      [a, room.deleteOp("a")],
      [{ op: "delete", ...room.all() }, a],
      [a, nested([room.putOp("a", "2")])],
      [a, nested([], [room.putOp("a", "2")])],
      [nested([a]), nested([a])],
      [nested([{ op: "delete", ...room.all() }]), a],
      [nested([room.deleteOp("a")]), nested([a])],
    ];
    for (const ops of refused) await expectRefused(room.write(...ops), "duplicate-key");
    expect(await room.get("a")).toBeUndefined();
    await room.write(nested([a], [room.putOp("a", "2")]), room.putOp("b", "1"));
    await room.write(room.deleteOp("a"), { op: "delete", ...room.all() });
    expect((await room.kv.range(room.all())).count).toBe(0);
  });

  test("a refusal anywhere on the path taken leaves nothing behind", async () => {
    const room = open();
    const before = await room.put("a", "1");
    const future: Op = { op: "range", key: room.key("a"), revision: before + 10 };
    await expectRefused(room.write(room.putOp("b", "1"), future), "future-revision");
    const unknownLease: Op = { op: "txn", compare: [], success: [room.putOp("c", "1", 987_654)], failure: [] };
    await expectRefused(room.write(room.putOp("b", "1"), unknownLease), "lease-not-found");
    expect(await room.revision()).toBe(before);
    // The other branch is not looked at.
    const elsewhere = { compare: [], success: [room.putOp("b", "1")], failure: [future] };
    expect((await room.kv.txn(elsewhere)).revision).toBe(before + 1);
  });

  test("at most 128 operations, nested ones less what their parents use", async () => {
    const room = open();
    const puts = (count: number, tag: string) => Array.from({ length: count }, (_, i) => room.putOp(`${tag}${i}`, ""));
    expect((await room.write(...puts(MAX_TXN_OPS, "a"))).results.length).toBe(MAX_TXN_OPS);
    await expectRefused(room.write(...puts(MAX_TXN_OPS + 1, "a")), "too-many-operations");
    const around = (count: number): Op => ({ op: "txn", compare: [], success: puts(count, "b"), failure: [] });
    await expectRefused(room.write(around(MAX_TXN_OPS)), "too-many-operations");
    expect((await room.write(around(MAX_TXN_OPS - 1))).succeeded).toBe(true);
  });

  test("a transaction without writes is a read, also in its nested parts", async () => {
    const room = open();
    const before = await room.put("a", "1");
    const read: Op = { op: "range", key: room.key("a") };
    const request = {
      compare: [],
      success: [read, { op: "txn", compare: [], success: [read], failure: [] }],
      failure: [],
    };
    const outcome = await room.kv.txn(request as never, { serializable: true });
    expect([outcome.succeeded, outcome.revision, outcome.results.length]).toEqual([true, before, 2]);
  });
}
