/** History keeper: what it has the store forget, and how much of it at once. */
import { expect, test } from "bun:test";
import { SILENT_LOG } from "../lib/log.ts";
import { encodeText } from "../lib/text.ts";
import type { Op } from "../store/kv.ts";
import { Store } from "../store/store.ts";
import { HistoryKeeper } from "./history-keeper.ts";

/** Overwrites the same keys; one revision. */
function put(store: Store, count: number): void {
  const value = new Uint8Array(1);
  const success: Op[] = Array.from({ length: count }, (_, i) => ({ op: "put", key: encodeText(`k${i}`), value }));
  store.apply({ kind: "txn", request: { compare: [], success, failure: [] } });
}

/** Looks until there is nothing to do. @returns how many changes each command made the store forget. */
async function settle(store: Store, keepRevisions: number, keepChanges: number): Promise<readonly number[]> {
  const steps: number[] = [];
  const compact = async (revision: number) => {
    const before = store.changesAboveFloor;
    store.apply({ kind: "compact", revision });
    steps.push(before - store.changesAboveFloor);
  };
  const keeper = new HistoryKeeper({ store, log: SILENT_LOG, compact }, { keepRevisions, keepChanges });
  for (let seen = -1; seen < steps.length; ) {
    seen = steps.length;
    keeper.look();
    await Bun.sleep(0);
  }
  return steps;
}

test("however much has gathered, one command forgets a bounded number of changes", async () => {
  const store = new Store();
  for (let i = 0; i < 120; i++) put(store, 100);
  const steps = await settle(store, 10_000, 5_000);
  expect(Math.max(...steps)).toBe(2_000);
  expect(store.changesAboveFloor).toBeGreaterThanOrEqual(5_000);
  expect(store.changesAboveFloor).toBeLessThan(7_000);
});

test("many small revisions are forgotten in steps, too", async () => {
  const store = new Store();
  for (let i = 0; i < 6_500; i++) put(store, 1);
  const steps = await settle(store, 3_000, 1_000_000);
  expect(Math.max(...steps)).toBe(2_000);
  expect(store.revision - store.compactRevision).toBeLessThan(5_000);
  expect(store.revision - store.compactRevision).toBeGreaterThanOrEqual(3_000);
});

test("a revision of more changes than a step is forgotten whole", async () => {
  const store = new Store();
  for (let i = 0; i < 12; i++) put(store, 125);
  const lease = { kind: "lease-grant", id: 7, ttlMs: 9_000 } as const;
  store.apply(lease);
  for (let at = 0; at < 24; at++) {
    const success: Op[] = Array.from({ length: 125 }, (_, i) => ({
      op: "put",
      key: encodeText(`of-lease/${at}/${i}`),
      value: new Uint8Array(1),
      lease: 7,
    }));
    store.apply({ kind: "txn", request: { compare: [], success, failure: [] } });
  }
  store.apply({ kind: "lease-revoke", ids: [7] });
  for (let i = 0; i < 60; i++) put(store, 1);
  await settle(store, 10, 1_000_000);
  expect(store.revision - store.compactRevision).toBeLessThan(20);
});
