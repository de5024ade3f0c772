/**
 * The registry's metrics by fleet's names: each call of the store is counted once, by what it was and how it ended.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { ManualClock } from "../../test/fakes/manual-clock.ts";
import type { Labels, Metrics } from "../lib/metrics.ts";
import { encodeText } from "../lib/text.ts";
import { LocalKv } from "../store/local-kv.ts";
import { MeasuredKv } from "./measured-kv.ts";

/** `name{label=value,…} value` for each time that something was told. */
function notes(into: string[]): Metrics {
  const note = (name: string, labels: Labels | undefined, value: string): void => {
    const list = Object.entries(labels ?? {}).map(([label, text]) => `${label}=${text}`);
    into.push(`${name.replace("fleet_registry_operation_", "")}{${list.join(",")}} ${value}`);
  };
  return {
    counter: ({ name }) => ({ add: (labels, by = 1) => note(name, labels, `+${by}`) }),
    gauge: () => ({ set() {} }),
    histogram: ({ name }) => ({ observe: (value, labels) => note(name, labels, String(value)) }),
    read() {},
  };
}

const key = encodeText("a");
const write = { compare: [], success: [{ op: "put", key, value: key }], failure: [] } as const;

test("each call is counted once, under fleet's word for it", async () => {
  const clock = new ManualClock();
  const said: string[] = [];
  const kv = new MeasuredKv(new LocalKv({ clock }), notes(said), clock);
  await kv.range({ key });
  await kv.range({ key, end: encodeText("b") });
  await kv.txn({ compare: [], success: [{ op: "range", key }], failure: [] });
  await kv.txn({ compare: [], success: [{ op: "txn", ...write }], failure: [] });
  await kv.leaseGrant({ ttlMs: 1_000, id: 7 });
  const counted = said.filter((line) => line.startsWith("count"));
  expect(counted.map((line) => /ops=(\w+)/.exec(line)?.[1])).toEqual(["get", "get_all", "get", "set", "lease"]);
  expect(said.slice(0, 2)).toEqual(["count_total{type=get,ops=get} +1", "duration_second{ops=get} 0"]);
});

test("a failure is counted as one, passed on, and not timed", async () => {
  const clock = new ManualClock();
  const said: string[] = [];
  const kv = new MeasuredKv(new LocalKv({ clock }), notes(said), clock);
  await expect(kv.leaseKeepAlive(9)).rejects.toMatchObject({ code: "lease-not-found" });
  expect(said).toEqual(["failed_count_total{type=lease,ops=lease} +1"]);
});
