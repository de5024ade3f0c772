/**
 * Kv contract: keys, revisions and ranges (etcd's API guide, "Key-Value Pair" and "Range").
 *
 * @module
 */
import { expect, test } from "bun:test";
import { encodeText } from "../../../src/lib/text.ts";
import { END_OF_KEYS, MAX_REQUEST_BYTES, prefixEnd } from "../../../src/store/kv.ts";
import { expectRefused, type Room } from "./room.ts";

export function rangeContract(open: () => Room): void {
  test("a key knows when it was created, when it changed and how often", async () => {
    const room = open();
    const created = await room.put("a", "1");
    const changed = await room.put("a", "2");
    expect(changed).toBe(created + 1);
    const kv = { key: room.key("a"), lease: 0 };
    expect(await room.get("a")).toEqual({
      ...kv,
      value: encodeText("2"),
      createRevision: created,
      modRevision: changed,
      version: 2,
    });
    await room.delete("a");
    expect(await room.get("a")).toBeUndefined();
    const again = await room.put("a", "3");
    expect(await room.get("a")).toEqual({
      ...kv,
      value: encodeText("3"),
      createRevision: again,
      modRevision: again,
      version: 1,
    });
  });

  test("a change that changes nothing takes no revision, a put of the same value does", async () => {
    const room = open();
    const before = await room.put("a", "1");
    expect(await room.delete("nobody")).toBe(before);
    expect(await room.put("a", "1")).toBe(before + 1);
  });

  test("a range is half open, ordered by bytes, and may have no end", async () => {
    const room = open();
    for (const name of ["b", "a", "c", "ab", "B"]) await room.put(name, name);
    const names = async (range: object) =>
      room.show((await room.kv.range({ ...room.all(), ...range })).kvs).replaceAll(/=\S*/g, "");
    expect(await names({})).toBe("B a ab b c");
    expect(await names(room.span("a", "b"))).toBe("a ab");
    expect(await names(room.span("b", "a"))).toBe("");
    expect(await names({ key: room.key("ab"), end: new Uint8Array() })).toBe("ab");
    const toEnd = await room.kv.range({ key: room.key("b"), end: END_OF_KEYS });
    expect(room.show(toEnd.kvs.slice(0, 2))).toBe("b=b c=c");
  });

  test("keys and values are any bytes, up to megabytes", async () => {
    const room = open();
    const key = (...bytes: number[]) => new Uint8Array([...room.key(""), ...bytes]);
    const keys = [key(0), key(0, 0), key(0x7f), key(0x80), key(0xff), key(0xff, 0), key(0xff, 0xff)];
    for (const one of [...keys].reverse()) await room.write({ op: "put", key: one, value: one });
    const found = await room.kv.range(room.all());
    expect(found.kvs.map((kv) => kv.key)).toEqual(keys);
    expect(found.kvs.map((kv) => kv.value)).toEqual(keys);
    const ffs = await room.kv.range({ key: key(0xff), end: prefixEnd(key(0xff)) });
    expect(ffs.kvs.map((kv) => kv.key)).toEqual(keys.slice(4));
    const large = new Uint8Array(1_000_000).map((_, i) => i % 251);
    await room.write({ op: "put", key: room.key("large"), value: large });
    expect(Buffer.compare((await room.get("large"))?.value ?? large.slice(1), large)).toBe(0);
    await room.write({ op: "put", key: room.key("large"), value: new Uint8Array() });
    expect((await room.get("large"))?.value.length).toBe(0);
  });

  test("the store keeps its own copy of what was put", async () => {
    const room = open();
    const value = encodeText("mine");
    await room.write({ op: "put", key: room.key("a"), value });
    value.fill(0);
    expect(await room.value("a")).toBe("mine");
  });

  test("limit cuts, more says so, count counts everything", async () => {
    const room = open();
    for (const name of ["a", "b", "c"]) await room.put(name, "v");
    const two = await room.kv.range({ ...room.all(), limit: 2 });
    expect([room.show(two.kvs), two.more, two.count]).toEqual(["a=v b=v", true, 3]);
    const three = await room.kv.range({ ...room.all(), limit: 3 });
    expect([three.kvs.length, three.more, three.count]).toEqual([3, false, 3]);
    const counted = await room.kv.range({ ...room.all(), countOnly: true, limit: 1 });
    expect([counted.kvs.length, counted.count]).toEqual([0, 3]);
    const page = await room.kv.range({ ...room.all(), limit: 1 }, { uncounted: true });
    expect([room.show(page.kvs), page.more]).toEqual(["a=v", true]);
    expect((await room.kv.range({ ...room.all(), limit: 3 }, { uncounted: true })).more).toBe(false);
    const keys = await room.kv.range({ ...room.all(), keysOnly: true });
    expect(room.show(keys.kvs)).toBe("a= b= c=");
    expect(keys.kvs[0]?.version).toBe(1);
  });

  test("sort orders by any field, both ways, before the limit", async () => {
    const room = open();
    await room.put("a", "2");
    await room.put("b", "3");
    await room.put("c", "1");
    await room.put("b", "0");
    const sorted = async (target: "key" | "version" | "create" | "mod" | "value", descending: boolean, limit = 0) =>
      room.show((await room.kv.range({ ...room.all(), sort: { target, descending }, limit })).kvs);
    expect(await sorted("key", true)).toBe("c=1 b=0 a=2");
    expect(await sorted("key", false)).toBe("a=2 b=0 c=1");
    expect(await sorted("create", true)).toBe("c=1 b=0 a=2");
    expect(await sorted("mod", false)).toBe("a=2 c=1 b=0");
    expect(await sorted("mod", true, 1)).toBe("b=0");
    expect(await sorted("version", true, 1)).toBe("b=0");
    expect(await sorted("value", false)).toBe("b=0 c=1 a=2");
  });

  test("revision filters look at each key, not at the count", async () => {
    const room = open();
    const first = await room.put("a", "1");
    await room.put("b", "1");
    await room.put("c", "1");
    await room.put("a", "2");
    const find = async (filter: object) => {
      const found = await room.kv.range({ ...room.all(), ...filter });
      return [room.show(found.kvs), found.count];
    };
    expect(await find({ minModRevision: first + 2 })).toEqual(["a=2 c=1", 3]);
    expect(await find({ maxModRevision: first + 2 })).toEqual(["b=1 c=1", 3]);
    expect(await find({ minCreateRevision: first + 1 })).toEqual(["b=1 c=1", 3]);
    expect(await find({ maxCreateRevision: first })).toEqual(["a=2", 3]);
    expect(await find({ minModRevision: first, limit: 1 })).toEqual(["a=2", 3]);
    expect((await room.kv.range({ ...room.all(), maxModRevision: first + 2, limit: 1 })).more).toBe(true);
  });

  test("the past can be read, the future cannot", async () => {
    const room = open();
    const first = await room.put("a", "1");
    await room.put("a", "2");
    await room.put("b", "1");
    const last = await room.delete("a");
    const at = async (revision: number) => room.show((await room.kv.range({ ...room.all(), revision })).kvs);
    expect(await at(first)).toBe("a=1");
    expect(await at(first + 1)).toBe("a=2");
    expect(await at(first + 2)).toBe("a=2 b=1");
    expect(await at(last)).toBe("b=1");
    expect((await room.kv.range({ ...room.all(), revision: first })).revision).toBe(last);
    await expectRefused(room.kv.range({ ...room.all(), revision: last + 1 }), "future-revision");
  });

  test("compaction keeps what is alive at its revision and refuses what is before", async () => {
    const room = open();
    await room.put("a", "1");
    await room.put("gone", "1");
    await room.delete("gone");
    const floor = await room.put("a", "2");
    const last = await room.put("a", "3");
    await room.kv.compact(floor);
    const at = async (revision: number) => room.show((await room.kv.range({ ...room.all(), revision })).kvs);
    expect(await at(floor)).toBe("a=2");
    expect(await at(last)).toBe("a=3");
    expect((await expectRefused(at(floor - 1), "compacted")).compactRevision).toBe(floor);
    expect((await room.get("a"))?.version).toBe(3);
    await expectRefused(room.kv.compact(floor), "compacted");
    await expectRefused(room.kv.compact(last + 1), "future-revision");
    expect(await room.put("gone", "2")).toBe(last + 1);
    expect((await room.get("gone"))?.version).toBe(1);
  });

  test("serializable reads see what this member has written", async () => {
    const room = open();
    await room.put("a", "1");
    const found = await room.kv.range({ key: room.key("a") }, { serializable: true });
    expect(room.show(found.kvs)).toBe("a=1");
  });

  test("bad requests are refused and change nothing", async () => {
    const room = open();
    const before = await room.put("a", "1");
    const empty = new Uint8Array();
    await expectRefused(room.kv.range({ key: empty }), "key-empty");
    await expectRefused(room.write(room.putOp("b", "1"), { op: "put", key: empty, value: empty }), "key-empty");
    await expectRefused(room.write({ op: "delete", key: empty }), "key-empty");
    const much = new Uint8Array(MAX_REQUEST_BYTES + 1);
    await expectRefused(room.write({ op: "put", key: room.key("b"), value: much }), "request-too-large");
    expect(await room.revision()).toBe(before);
  });

  test("prefixEnd() of only 0xff bytes, and of nothing, is the end of all keys", () => {
    expect(prefixEnd(new Uint8Array([0xff, 0xff]))).toBe(END_OF_KEYS);
    expect(prefixEnd(new Uint8Array())).toBe(END_OF_KEYS);
    expect(prefixEnd(new Uint8Array([1, 0xff]))).toEqual(new Uint8Array([2]));
    expect(prefixEnd(new Uint8Array([1, 0]))).toEqual(new Uint8Array([1, 1]));
  });
}
