/**
 * Random commands for the store's properties: few keys, few leases, few values, so that they collide.
 *
 * @module
 */
import fc from "fast-check";
import type { Command } from "../../src/store/command.ts";
import {
  type Compare,
  END_OF_KEYS,
  type KeyRange,
  type Op,
  type RangeRequest,
  type TxnRequest,
} from "../../src/store/kv.ts";

const keyBytes = fc.constantFrom([97], [97, 0], [97, 98], [98], [98, 255], [255], [255, 255]);
export const anyKey = keyBytes.map((bytes) => new Uint8Array(bytes));
const anyValue = fc.constantFrom("", "x", "yy", "\xff").map((value) => Buffer.from(value, "latin1") as Uint8Array);
const anyLease = fc.constantFrom(0, 0, 0, 0, 0, 1, 2, 3, 50);

export const anyRange: fc.Arbitrary<KeyRange> = fc
  .tuple(anyKey, fc.option(fc.oneof(anyKey, fc.constant(END_OF_KEYS)), { nil: undefined }))
  .map(([key, end]) => (end === undefined ? { key } : { key, end }));

export const anyRangeRequest: fc.Arbitrary<RangeRequest> = fc
  .tuple(
    anyRange,
    fc.record(
      {
        revision: fc.nat(30),
        limit: fc.nat(4),
        sort: fc.record(
          { target: fc.constantFrom("key", "version", "create", "mod", "value"), descending: fc.boolean() },
          { requiredKeys: ["target"] },
        ),
        keysOnly: fc.boolean(),
        countOnly: fc.boolean(),
        minModRevision: fc.nat(10),
        maxModRevision: fc.nat(30),
        minCreateRevision: fc.nat(10),
        maxCreateRevision: fc.nat(30),
      },
      { requiredKeys: [] },
    ),
  )
  .map(([range, options]) => ({ ...range, ...options }));

const anyResult = fc.constantFrom<Compare["result"]>("=", "!=", "<", ">");
const anyCompare: fc.Arbitrary<Compare> = fc.oneof(
  fc
    .tuple(anyRange, anyResult, anyValue)
    .map(([range, result, value]): Compare => ({ ...range, target: "value", result, value })),
  fc
    .tuple(anyRange, anyResult, fc.constantFrom("version", "create", "mod", "lease"), fc.nat(6))
    .map(([range, result, target, value]): Compare => ({ ...range, target, result, value })),
);

const anyPut: fc.Arbitrary<Op> = fc
  .tuple(anyKey, anyValue, anyLease, fc.constantFrom("", "", "", "", "", "prevKv", "ignoreValue", "ignoreLease"))
  .map(([key, value, lease, option]) => {
    if (option === "ignoreValue") return { op: "put", key, value: new Uint8Array(), lease, ignoreValue: true };
    if (option === "ignoreLease") return { op: "put", key, value, ignoreLease: true };
    return { op: "put", key, value, lease, prevKv: option === "prevKv" };
  });
const anyDelete: fc.Arbitrary<Op> = fc
  .tuple(anyRange, fc.boolean())
  .map(([range, prevKv]) => ({ op: "delete", ...range, prevKv }));

export const anyTxn: fc.Arbitrary<TxnRequest> = fc.letrec<{ txn: TxnRequest; op: Op }>((tie) => ({
  txn: fc.record({
    compare: fc.array(anyCompare, { maxLength: 2 }),
    success: fc.array(tie("op"), { minLength: 1, maxLength: 3 }),
    failure: fc.array(tie("op"), { maxLength: 2 }),
  }),
  op: fc.oneof(
    { maxDepth: 3, depthSize: "small", withCrossShrink: true },
    anyPut,
    anyDelete,
    anyRange.map((range): Op => ({ op: "range", ...range })),
    tie("txn").map((txn): Op => ({ op: "txn", ...txn })),
  ),
})).txn;

/** Most are plain, so that histories grow; the rest is anything. */
const anyRequest: fc.Arbitrary<TxnRequest> = fc.oneof(
  { weight: 5, arbitrary: anyPut.map((op) => ({ compare: [], success: [op], failure: [] })) },
  { weight: 1, arbitrary: anyDelete.map((op) => ({ compare: [], success: [op], failure: [] })) },
  { weight: 4, arbitrary: anyTxn },
);

export const anyCommand: fc.Arbitrary<Command> = fc.oneof(
  { weight: 12, arbitrary: anyRequest.map((request): Command => ({ kind: "txn", request })) },
  { weight: 2, arbitrary: anyLease.map((id): Command => ({ kind: "lease-grant", id, ttlMs: 1000 })) },
  {
    weight: 1,
    arbitrary: fc.array(anyLease, { maxLength: 3 }).map((ids): Command => ({ kind: "lease-revoke", ids })),
  },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 12 }).map((revision): Command => ({ kind: "compact", revision })) },
);

export const anyCommands: fc.Arbitrary<Command[]> = fc.array(anyCommand, { maxLength: 40, size: "max" });
