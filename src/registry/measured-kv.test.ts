/**
 * The registry's metrics by fleet's names: each call of the store is counted once, by what it was and how it ended.
 *
 * @module
 */
import { beforeEach, expect, test } from "bun:test";
import { ManualClock } from "../../test/fakes/manual-clock.ts";
import { CountingMetrics } from "../../test/fakes/metrics.ts";
import { encodeText } from "../lib/text.ts";
import { LocalKv } from "../store/local-kv.ts";
import { MeasuredKv } from "./measured-kv.ts";

const key = encodeText("a");
const write = { compare: [], success: [{ op: "put", key, value: key }], failure: [] } as const;

let metrics: CountingMetrics;
let kv: MeasuredKv;
beforeEach(() => {
  const clock = new ManualClock();
  metrics = new CountingMetrics();
  kv = new MeasuredKv(new LocalKv({ clock }), metrics, clock);
});

test("each call is counted once, under fleet's word for it, by both of fleet's labels", async () => {
  await kv.range({ key });
  await kv.range({ key, end: encodeText("b") });
  await kv.txn({ compare: [], success: [{ op: "range", key }], failure: [] });
  await kv.txn({ compare: [], success: [{ op: "txn", ...write }], failure: [] });
  await kv.leaseGrant({ ttlMs: 1_000, id: 7 });
  expect(Object.fromEntries(metrics.values)).toEqual({
    "fleet_registry_operation_count_total{type=get,ops=get}": 2,
    "fleet_registry_operation_duration_second{ops=get}": 2,
    "fleet_registry_operation_count_total{type=get_all,ops=get_all}": 1,
    "fleet_registry_operation_duration_second{ops=get_all}": 1,
    "fleet_registry_operation_count_total{type=set,ops=set}": 1,
    "fleet_registry_operation_duration_second{ops=set}": 1,
    "fleet_registry_operation_count_total{type=lease,ops=lease}": 1,
    "fleet_registry_operation_duration_second{ops=lease}": 1,
  });
});

test("a failure is counted as one, passed on, and not timed", async () => {
  await expect(kv.leaseKeepAlive(9)).rejects.toMatchObject({ code: "lease-not-found" });
  expect(Object.fromEntries(metrics.values)).toEqual({
    "fleet_registry_operation_failed_count_total{type=lease,ops=lease}": 1,
  });
});
