import { expect, test } from "bun:test";
import fc from "fast-check";
import { anyCommands } from "../../test/fakes/store-arbitraries.ts";
import { encodeText } from "../lib/text.ts";
import type { Change } from "./change.ts";
import type { Command } from "./command.ts";
import { digestText, Tally } from "./digest.ts";
import type { Scrub, ScrubResult } from "./scrub.ts";
import { SnapshotReader } from "./snapshot.ts";
import { Store } from "./store.ts";

const NOWHERE = { revision: 0, compactRevision: 0, lastChosenLease: 0 };

function put(key: string, value: string, lease = 0): Command {
  const success = [{ op: "put", key: encodeText(key), value: encodeText(value), lease }] as const;
  return { kind: "txn", request: { compare: [], success, failure: [] } };
}

function restored(store: Store): Store {
  const reader = new SnapshotReader();
  for (const slice of store.snapshot()) reader.write(slice);
  const copy = new Store();
  copy.restore(reader.finish());
  return copy;
}

/** What the digest stands for, the slow way. */
function everything(store: Store): string {
  return JSON.stringify([store.hash(), store.leases.all(), store.leases.lastChosen]);
}

function scrubbed(scrub: Scrub): ScrubResult {
  for (;;) {
    const result = scrub.step();
    if (result !== "more") return result;
  }
}

function firstChange(store: Store): Change {
  for (const [, changes] of store.history.since(0)) return changes[0] as Change;
  throw new Error("The store is empty");
}

test("two stores have the same digest when, and only when, all that can be read of them is the same", () => {
  fc.assert(
    fc.property(anyCommands, anyCommands, (one, other) => {
      const stores = [one, other].map((commands) => {
        const store = new Store();
        for (const command of commands) store.apply(command);
        return store;
      }) as [Store, Store];
      const [a, b] = stores;
      expect(digestText(a.digest) === digestText(b.digest)).toBe(everything(a) === everything(b));
    }),
    { numRuns: 200 },
  );
});

test("a restored store has the digest of the one it came from, and they go on alike", () => {
  fc.assert(
    fc.property(anyCommands, anyCommands, (before, after) => {
      const store = new Store();
      for (const command of before) store.apply(command);
      const copy = restored(store);
      expect(copy.digest).toEqual(store.digest);
      for (const command of after) {
        store.apply(command);
        copy.apply(command);
        expect(copy.digest).toEqual(store.digest);
      }
    }),
    { numRuns: 150 },
  );
});

test("every field of a change counts, and numbers above 32 bits count whole", () => {
  const change: Change = {
    key: "a",
    revision: 7,
    value: new Uint8Array([1, 2]),
    createRevision: 3,
    version: 2,
    lease: 9,
  };
  const others: Change[] = [
    change,
    { ...change, key: "b" },
    { ...change, key: "\xe1" },
    { ...change, value: new Uint8Array([1, 3]) },
    { ...change, value: new Uint8Array(0) },
    { ...change, value: null },
    { ...change, revision: 8 },
    { ...change, revision: 7 + 2 ** 40 },
    { ...change, createRevision: 4 },
    { ...change, version: 3 },
    { ...change, lease: 0 },
  ];
  const digests = others.map((other) => {
    const tally = new Tally();
    tally.add(other);
    return digestText(tally.digest(NOWHERE));
  });
  expect(new Set(digests).size).toBe(others.length);
});

test("format 1 of the digest: members of different releases compare it", () => {
  const store = new Store();
  store.apply({ kind: "lease-grant", id: 0, ttlMs: 4_000 });
  store.apply(put("/flt/unit/a", "text", 1));
  store.apply(put("\xff", ""));
  store.apply(put("/flt/unit/a", "another"));
  store.apply({ kind: "compact", revision: 3 });
  expect(digestText(store.digest)).toBe("e180aee6d19f090a");
});

test("a scrub is content with whatever is applied while it runs", () => {
  fc.assert(
    fc.property(anyCommands, anyCommands, (before, meanwhile) => {
      const store = new Store();
      for (const command of before) store.apply(command);
      for (let i = 0; i < 30; i++) store.apply(put(`big${i}`, "v".repeat(200_000)));
      const scrub = store.scrub();
      expect(scrub.step()).toBe("more");
      for (const command of meanwhile) store.apply(command);
      scrub.step();
      store.apply(put("big0", "behind the cursor"));
      store.apply(put("bigger", "before it"));
      store.apply({ kind: "compact", revision: store.revision });
      expect(scrubbed(scrub)).toBe("sound");
      expect(scrub.step()).toBe("void");
    }),
    { numRuns: 20 },
  );
});

test("a scrub works in slices", () => {
  const store = new Store();
  for (let i = 0; i < 5_500; i++) store.apply(put(`key${i}`, "v"));
  const scrub = store.scrub();
  let slices = 1;
  while (scrub.step() === "more") slices++;
  expect(slices).toBe(6);
});

test("a scrub finds a flipped bit, a key that the index lost, and a lease that lost its key", () => {
  const damages: ((store: Store) => void)[] = [
    (store) => {
      const { value } = firstChange(store);
      if (value !== null) value[0] = (value[0] ?? 0) ^ 4;
    },
    (store) => void store.index.compact("k1", 99),
    (store) => store.leases.move("k2", 1, 0),
  ];
  for (const damage of damages) {
    const store = new Store();
    store.apply({ kind: "lease-grant", id: 1, ttlMs: 4_000 });
    for (const key of ["k0", "k1", "k2"]) {
      store.apply(put(key, "one"));
      store.apply(put(key, "two", 1));
    }
    expect(scrubbed(store.scrub())).toBe("sound");
    damage(store);
    expect(scrubbed(store.scrub())).toBe("damaged");
  }
});

test("a restore, or another scrub, ends a scrub without a verdict", () => {
  const store = new Store();
  store.apply(put("a", "b"));
  const first = store.scrub();
  const second = store.scrub();
  expect(first.step()).toBe("void");
  const reader = new SnapshotReader();
  for (const slice of store.snapshot()) reader.write(slice);
  store.restore(reader.finish());
  expect(second.step()).toBe("void");
  expect(scrubbed(store.scrub())).toBe("sound");
});
