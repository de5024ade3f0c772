/**
 * Reporter: when it publishes at once, and when it lets news gather.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { ManualClock } from "../../test/fakes/manual-clock.ts";
import { SILENT_LOG } from "../lib/log.ts";
import type { MachineSession } from "../registry/types.ts";
import { Reporter } from "./reporter.ts";

function world(underWay: () => number) {
  const clock = new ManualClock();
  const published: { readonly atMs: number; readonly names: readonly string[] }[] = [];
  let version = 0;
  const session = {
    ttlMs: 10_000,
    heartbeat: async () => {},
    leave: async () => {},
    publish: async (reports) => {
      published.push({ atMs: clock.now(), names: reports.map((report) => report.name) });
    },
  } satisfies MachineSession;
  const reporter = new Reporter({
    clock,
    log: SILENT_LOG,
    timeoutMs: 1_000,
    report: (name) => ({
      name,
      machineId: "11111111111111111111111111111111",
      hash: String(version++),
      jobState: "launched",
      load: "loaded",
      active: "active",
      sub: "running",
    }),
    names: () => [],
    underWay,
    onLeaseLost: () => {},
  });
  reporter.attach(session);
  return { clock, reporter, published };
}

test("A few units are reported without delay, one after the other", async () => {
  const { clock, reporter, published } = world(() => 3);
  for (const name of ["a", "b", "c"]) {
    reporter.mark(name);
    await clock.advance(0);
  }
  expect(published.map(({ names }) => names)).toEqual([["a"], ["b"], ["c"]]);
  expect(clock.now()).toBe(published[2]?.atMs ?? Number.NaN);
});

test("While many are under way news gather, and what is last is not kept waiting", async () => {
  let underWay = 300;
  const { clock, reporter, published } = world(() => underWay);
  for (let unit = 0; unit < 300; unit++) {
    reporter.mark(`u${unit}`);
    underWay--;
    await clock.advance(1);
  }
  expect(published.flatMap(({ names }) => names).length).toBe(300);
  expect(published.length).toBeLessThan(20);
  const waits = published.slice(1).map(({ atMs }, index) => atMs - (published[index]?.atMs ?? 0));
  expect(Math.max(...waits)).toBeLessThanOrEqual(101);
  expect(published.at(-1)?.names).toEqual(["u299"]);
});
