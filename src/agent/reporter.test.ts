/**
 * Reporter: when it publishes at once, when it lets news gather, and what it knows to be in the store.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { ManualClock } from "../../test/fakes/manual-clock.ts";
import { unitReport } from "../../test/fakes/registry-world.ts";
import { SILENT_LOG } from "../lib/log.ts";
import { KvError, type MachineSession } from "../registry/types.ts";
import { Reporter } from "./reporter.ts";

function world(underWay: () => number) {
  const clock = new ManualClock();
  const published: { readonly atMs: number; readonly names: readonly string[] }[] = [];
  let version = 0;
  const session = {
    ttlMs: 10_000,
    inherited: [],
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

/** A store in which the test decides when a publication is answered, and how. */
function slowWorld() {
  const clock = new ManualClock();
  const units = new Map<string, string>();
  const stored = new Map<string, string>();
  const answers: { readonly done: () => void; readonly fail: (error: Error) => void }[] = [];
  const makeSession = (): MachineSession => ({
    ttlMs: 10_000,
    inherited: [],
    heartbeat: async () => {},
    leave: async () => {},
    publish: (reports, gone) => {
      for (const { name, sub } of reports) stored.set(name, sub);
      for (const name of gone) stored.delete(name);
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      answers.push({ done: resolve, fail: reject });
      return promise;
    },
  });
  const reporter = new Reporter({
    clock,
    log: SILENT_LOG,
    timeoutMs: 1_000,
    report: (name) => {
      const sub = units.get(name);
      return sub === undefined ? undefined : unitReport(1, name, { sub });
    },
    names: () => units.keys(),
    underWay: () => 1,
    onLeaseLost: () => {},
  });
  const set = (name: string, sub: string | null) => {
    if (sub === null) units.delete(name);
    else units.set(name, sub);
    reporter.mark(name);
  };
  const answer = async (error?: Error) => {
    const last = answers.pop();
    if (error === undefined) last?.done();
    else last?.fail(error);
    await clock.advance(0);
  };
  return { clock, reporter, makeSession, set, answer, stored };
}

/** What a confirmation says so far. */
function confirming(reporter: Reporter, name: string) {
  const seen: { session: MachineSession | null | undefined } = { session: undefined };
  const stop = new AbortController();
  void reporter.confirm(name, stop.signal).then((session) => {
    seen.session = session;
  });
  return { seen, stop };
}

test("A unit that is again as it was before a report of unknown fate is reported all the same", async () => {
  const { clock, reporter, makeSession, set, answer, stored } = slowWorld();
  reporter.attach(makeSession());
  set("a.service", "running");
  await answer();
  set("a.service", "exited");
  await answer(new KvError("unknown-fate", "Cannot say whether it was written"));
  set("a.service", "running");
  await clock.advance(200);
  await answer();
  expect(stored.get("a.service")).toBe("running");
});

test("A report is confirmed by its answer, not before, and not while another word of the unit is on its way", async () => {
  const { clock, reporter, makeSession, set, answer } = slowWorld();
  const session = makeSession();
  reporter.attach(session);
  set("a.service", "dead");
  const first = confirming(reporter, "a.service");
  await clock.advance(10);
  expect(first.seen.session).toBeUndefined();
  await answer();
  expect(first.seen.session).toBe(session);
  // Gone and back: the store is about to hear that it is gone.
  set("a.service", null);
  set("a.service", "dead");
  const second = confirming(reporter, "a.service");
  await clock.advance(10);
  expect(second.seen.session).toBeUndefined();
  await answer();
  expect(second.seen.session).toBeUndefined();
  await answer();
  expect(second.seen.session).toBe(session);
});

test("A confirmation belongs to its session; without one it is waited for, until the signal", async () => {
  const { clock, reporter, makeSession, set, answer } = slowWorld();
  const [old, young] = [makeSession(), makeSession()];
  reporter.attach(old);
  set("a.service", "dead");
  await answer();
  reporter.detach();
  const { seen } = confirming(reporter, "a.service");
  const dropped = confirming(reporter, "a.service");
  await clock.advance(1_000);
  expect([seen.session, reporter.isAttached(old)]).toEqual([undefined, false]);
  dropped.stop.abort();
  await clock.advance(0);
  expect(dropped.seen.session).toBeNull();
  reporter.attach(young);
  await answer();
  expect(seen.session).toBe(young);
});
