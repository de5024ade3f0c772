import { expect, test } from "bun:test";
import { KvError } from "../store/kv.ts";
import { LeaseIds, randomLeaseId } from "./lease-ids.ts";

const LARGE = 0x7fff_ffff_ffff_ff01n;

test("ids that a number can hold are themselves", () => {
  const ids = new LeaseIds();
  for (const id of [0n, 1n, BigInt(Number.MAX_SAFE_INTEGER)]) {
    expect(ids.fromWire(id)).toBe(Number(id));
    expect(ids.toWire("Put", Number(id))).toBe(id);
  }
});

test("larger ones have an alias that is theirs alone and leads back", () => {
  const ids = new LeaseIds();
  const one = ids.fromWire(LARGE);
  const other = ids.fromWire(LARGE + 1n);
  expect(Number(LARGE)).toBe(Number(LARGE + 1n));
  expect(one).not.toBe(other);
  expect([one < 0, other < 0]).toEqual([true, true]);
  expect(ids.fromWire(LARGE)).toBe(one);
  expect([ids.toWire("Put", one), ids.toWire("Put", other)]).toEqual([LARGE, LARGE + 1n]);
  expect(ids.toWire("Put", ids.fromWire(-5n))).toBe(-5n);
});

test("an alias that is not known, or no longer, is refused", () => {
  const ids = new LeaseIds(2);
  const aliases = [0n, 1n, 2n].map((offset) => ids.fromWire(LARGE + offset));
  expect(() => ids.toWire("Lease status", aliases[0] as number)).toThrow(KvError);
  expect(() => ids.toWire("Lease status", -99)).toThrow("lease -99 is not known");
  expect(ids.toWire("Lease status", aliases[2] as number)).toBe(LARGE + 2n);
  // Seen again it gets another one: the old is never given to a different lease.
  expect(aliases).not.toContain(ids.fromWire(LARGE));
});

test("ids of our own are positive and safe", () => {
  for (let i = 0; i < 1_000; i++) {
    const id = randomLeaseId();
    expect(id > 0 && Number.isSafeInteger(id)).toBe(true);
  }
});
