import { afterEach, expect, test } from "bun:test";
import type { NodeId } from "#raft";
import { KvCluster, type KvClusterOptions, type Member, put, putOf } from "../../test/fakes/kv-cluster.ts";
import type { CallHandler } from "../lib/calls.ts";
import type { Log, LogFields } from "../lib/log.ts";
import { decodeText, encodeText } from "../lib/text.ts";
import { pause } from "../lib/wait.ts";
import { digestText } from "../store/digest.ts";
import { KvError } from "../store/kv.ts";
import { DIGEST_METHOD, STATE_METHOD } from "./consistency-codec.ts";
import { REPLICA_DEFAULTS } from "./replica-kv.ts";

interface Line {
  readonly member: NodeId;
  readonly level: keyof Log;
  readonly message: string;
  readonly fields: LogFields;
}

let cluster: KvCluster;
let lines: Line[] = [];
afterEach(() => cluster.stop());

/** What the alarm may take, from the first wrong byte on. */
const ALARM_MS = 30_000;
const HOUR_MS = 3_600_000;
/** For the two that compute, on a machine that has other things to do. */
const BUSY_MS = 20_000;
const NO_SCRUB = { scrubMs: HOUR_MS };

async function started(options: KvClusterOptions = {}): Promise<void> {
  lines = [];
  const log = (member: NodeId): Log => {
    const say =
      (level: keyof Log) =>
      (message: string, fields: LogFields = {}) =>
        void lines.push({ member, level, message, fields });
    return {
      debug: say("debug"),
      info: say("info"),
      notice: say("notice"),
      warning: say("warning"),
      error: say("error"),
    };
  };
  cluster = new KvCluster({ ...options, log });
  await cluster.start();
}

const errors = () => lines.filter(({ level }) => level === "error");
const followers = () => [...cluster.members.values()].filter((member) => member !== cluster.theLeader());

/** What is local to this member, whoever leads. */
function held(member: Member, key: string): string {
  const [kv] = member.machine.store.range({ key: encodeText(key) }).kvs;
  return kv === undefined ? "" : decodeText(kv.value);
}

/** The next command leaves another value on this member than the log says. */
function misapply({ machine: { store } }: Member, key: string): void {
  const apply = store.apply.bind(store);
  store.apply = () => {
    store.apply = apply;
    return apply({ kind: "txn", request: putOf(key, "wrong") });
  };
}

/** Nobody tells this member a state, until the answer is called. */
function withoutStates(victim: Member): () => void {
  const tables = [...cluster.members.values()]
    .filter((member) => member !== victim)
    .map(({ handlers }) => handlers as Map<string, CallHandler>);
  const kept = tables.map((table) => table.get(STATE_METHOD));
  for (const table of tables) table.delete(STATE_METHOD);
  return () => {
    for (const [i, table] of tables.entries()) table.set(STATE_METHOD, kept[i] as CallHandler);
  };
}

function slowDown(handlers: Map<string, CallHandler>, ms: number): void {
  const handler = handlers.get(DIGEST_METHOD);
  if (handler?.kind !== "unary") throw new Error("There is no such handler");
  const handle: typeof handler.handle = async (body, context) => {
    await pause(cluster.clock, ms);
    return handler.handle(body, context);
  };
  handlers.set(DIGEST_METHOD, { kind: "unary", handle });
}

async function refusal(call: Promise<unknown>): Promise<KvError> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof KvError)) throw new Error(`Not refused with a KvError: ${String(error)}`);
  return error;
}

test("members that hold the same are compared, by the leader's own beat, and nobody says a word", async () => {
  await started();
  for (let i = 0; i < 20; i++) await put(cluster.follower(), `k${i}`, "v");
  await cluster.advance(35_000);
  for (const { kv } of cluster.members.values()) {
    expect([...kv.health.check.outcomes.keys()]).toEqual(["equal"]);
    expect(kv.health.check.outcomes.get("equal")).toBeGreaterThanOrEqual(3);
    expect(kv.health.scrubber.passes).toBeGreaterThanOrEqual(2);
  }
  expect(lines.filter(({ level }) => level !== "debug" && level !== "info")).toEqual([]);
});

test(
  "writes that go on all the time do not keep the members from being compared",
  async () => {
    await started({ config: { hashCheckMs: 400 } });
    const end = cluster.clock.now() + 2_000;
    for (let i = 0; cluster.clock.now() < end; i++) await put(cluster.follower(), `k${i % 100}`, `${i}`);
    const outcomes = cluster.theLeader().kv.health.check.outcomes;
    expect(outcomes.get("equal")).toBeGreaterThanOrEqual(3);
    expect(outcomes.size).toBe(1);
  },
  BUSY_MS,
);

test(
  "thousands of writes a second and a member that lets the others wait keep nobody from being compared",
  async () => {
    await started({ config: { ...NO_SCRUB, hashCheckMs: 4_000 } });
    const [victim, silent] = followers() as [Member, Member];
    const leader = cluster.theLeader();
    cluster.isolate(silent.id);
    misapply(victim, "k");
    await put(leader, "k", "right");
    const end = cluster.clock.now() + 8_000;
    let writes = 0;
    while (leader.kv.health.check.alarm === null && cluster.clock.now() < end) {
      await Promise.all(Array.from({ length: 100 }, (_, i) => put(leader, `k${i}`, `${++writes}`)));
      await cluster.advance(40);
    }
    expect(writes).toBeGreaterThan(4_096);
    expect(leader.kv.health.check.verdict.kind).toBe("undecided");
  },
  BUSY_MS,
);

test("a follower that applies an entry wrongly is named everywhere within 30 s, serves nothing, and is rebuilt", async () => {
  await started({ config: NO_SCRUB });
  const victim = cluster.follower();
  await put(victim, "before", "v");
  misapply(victim, "k");
  await put(cluster.theLeader(), "k", "right");
  await cluster.until(() => held(victim, "k") === "wrong");
  const heal = withoutStates(victim);
  const watch = victim.kv.watch({ key: encodeText("k") });
  const ended = refusal(watch[Symbol.asyncIterator]().next());
  const writtenAt = cluster.clock.now();
  await cluster.until(() => victim.kv.health.trust.reason !== null);
  expect(cluster.clock.now() - writtenAt).toBeLessThan(ALARM_MS);
  expect((await refusal(victim.kv.range({ key: encodeText("k") }))).code).toBe("unavailable");
  expect((await refusal(victim.kv.range({ key: encodeText("k") }, { serializable: true }))).message).toContain("wrong");
  expect((await ended).code).toBe("unavailable");
  expect(
    (
      await refusal(
        victim.kv
          .watch({ key: encodeText("k") })
          [Symbol.asyncIterator]()
          .next(),
      )
    ).code,
  ).toBe("unavailable");
  heal();
  await cluster.until(() => victim.kv.health.trust.reason === null);
  expect(held(victim, "k")).toBe("right");
  expect(held(victim, "before")).toBe("v");
  for (const member of cluster.members.values()) {
    const said = errors().filter((line) => line.member === member.id && line.fields.decision === "diverged");
    expect(said[0]?.message).toContain(`host${victim.id}:2380 does not hold what the majority holds`);
  }
  expect(lines.filter(({ fields }) => fields.decision === "rebuilt").map(({ member }) => member)).toEqual([victim.id]);
  await cluster.advance(25_000);
  for (const { kv } of cluster.members.values()) expect(kv.health.check.verdict.suspects).toEqual([]);
});

test("a leader that applies an entry wrongly gives the lead to a member that is right", async () => {
  await started({ config: NO_SCRUB });
  const victim = cluster.theLeader();
  misapply(victim, "k");
  await put(cluster.follower(), "k", "right");
  await cluster.until(() => victim.kv.health.trust.rebuilds === 1);
  expect(victim.raft.role).toBe("follower");
  expect(held(victim, "k")).toBe("right");
  await put(victim, "k", "after");
  expect(held(victim, "k")).toBe("after");
});

test("a leader that nobody relieves answers no write and renews no lease by its wrong data", async () => {
  await started({ config: NO_SCRUB });
  const victim = cluster.theLeader();
  const { id } = await victim.kv.leaseGrant({ ttlMs: 60_000 });
  victim.raft.transferLeader = async () => false;
  withoutStates(victim);
  misapply(victim, "k");
  await put(victim, "k", "right");
  await cluster.until(() => victim.kv.health.trust.reason !== null);
  const options = { timeoutMs: 1_000 };
  expect((await refusal(cluster.follower().kv.txn(putOf("k", "later"), options))).code).toBe("unavailable");
  expect((await refusal(victim.kv.leaseKeepAlive(id, options))).code).toBe("unavailable");
  expect(victim.raft.role).toBe("leader");
});

test(
  "a rebuild goes on while others write, and the member takes part again to the last entry",
  async () => {
    await started({ config: { ...NO_SCRUB, hashCheckMs: 1_000 } });
    for (let i = 0; i < 300; i++) await put(cluster.theLeader(), `k${i}`, "v".repeat(1_000));
    const victim = cluster.follower();
    misapply(victim, "k0");
    let isWriting = true;
    const writing = (async () => {
      for (let i = 0; isWriting; i++) await put(cluster.theLeader(), `k${i % 300}`, `${i}`);
    })();
    await cluster.until(() => victim.kv.health.trust.rebuilds === 1);
    isWriting = false;
    await writing;
    await put(victim, "last", "v");
    expect(digestText(victim.machine.store.digest)).toBe(digestText(cluster.theLeader().machine.store.digest));
    expect(victim.machine.store.hash()).toEqual(cluster.theLeader().machine.store.hash());
  },
  BUSY_MS,
);

test("what was rebuilt outlives a restart", async () => {
  await started({ config: NO_SCRUB, snapshotLogEntries: 20 });
  const victim = cluster.follower();
  misapply(victim, "k");
  for (let i = 0; i < 60; i++) await put(cluster.theLeader(), i === 0 ? "k" : "other", "right");
  await cluster.until(() => victim.kv.health.trust.rebuilds === 1);
  await cluster.advance(100);
  await cluster.halt(victim.id);
  const again = await cluster.boot(victim.id);
  await cluster.until(() => again.kv.health.check.isSettled);
  expect(held(again, "k")).toBe("right");
  expect(again.kv.health.trust.reason).toBeNull();
});

test("what was rebuilt outlives a restart, also where the snapshot of the wrong state is of the same index", async () => {
  await started({ config: NO_SCRUB, snapshotLogEntries: 20 });
  const victim = cluster.follower();
  misapply(victim, "k");
  await put(cluster.theLeader(), "k", "right");
  // The last write is the one that makes the victim take its snapshot.
  while (victim.raft.status().snapshotIndex === 0) {
    await put(cluster.theLeader(), "other", "right");
    await cluster.advance(20);
  }
  expect(victim.raft.status().snapshotIndex).toBe(victim.machine.position);
  await cluster.until(() => victim.kv.health.trust.rebuilds === 1);
  await cluster.advance(100);
  await cluster.halt(victim.id);
  const again = await cluster.boot(victim.id);
  expect(held(again, "k")).toBe("right");
});

test("a member whose disk holds a wrong state is found out before it serves its first read", async () => {
  await started({ config: { ...NO_SCRUB, hashCheckMs: HOUR_MS }, snapshotLogEntries: 20 });
  const victim = cluster.follower();
  misapply(victim, "k");
  for (let i = 0; i < 60; i++) await put(cluster.theLeader(), i === 0 ? "k" : "other", "right");
  await cluster.halt(victim.id);
  // Slower than a read.
  for (const { handlers } of cluster.members.values()) slowDown(handlers as Map<string, CallHandler>, 500);
  const again = await cluster.boot(victim.id);
  expect(held(again, "k")).toBe("wrong");
  const first = await again.kv.range({ key: encodeText("k") }).catch((error: KvError) => error);
  expect(first).toBeInstanceOf(KvError);
  await cluster.until(() => again.kv.health.trust.rebuilds === 1);
  expect(held(again, "k")).toBe("right");
});

test("memory that fails is found by the member itself, also while nobody writes", async () => {
  await started();
  const victim = cluster.follower();
  await put(victim, "k", "right");
  const stored = victim.machine.store.index.latest("k")?.value;
  if (stored === undefined) throw new Error("The follower does not have it yet");
  stored[0] = (stored[0] ?? 0) ^ 1;
  const damagedAt = cluster.clock.now();
  await cluster.until(() => victim.kv.health.trust.reason !== null);
  expect(cluster.clock.now() - damagedAt).toBeLessThan(ALARM_MS);
  await cluster.until(() => victim.kv.health.trust.rebuilds === 1);
  expect(held(victim, "k")).toBe("right");
});

test("a cluster of one whose memory fails serves nothing more and asks to be started anew", async () => {
  await started({ size: 1 });
  const member = cluster.theLeader();
  await put(member, "k", "right");
  const stored = member.machine.store.index.latest("k")?.value;
  stored?.fill(0, 0, 1);
  await cluster.until(() => cluster.hopeless.length > 0);
  expect(cluster.hopeless[0]?.message).toContain("what it holds is not what it applied");
  expect((await refusal(member.kv.range({ key: encodeText("k") }))).code).toBe("unavailable");
  await cluster.halt(member.id);
  const again = await cluster.boot(member.id);
  await again.kv.range({ key: encodeText("k") });
  expect(held(again, "k")).toBe("right");
});

test("two that differ while the third is away are an alarm without a culprit; with it there is one", async () => {
  await started({ config: NO_SCRUB });
  const [victim, away] = followers() as [Member, Member];
  await cluster.halt(away.id);
  misapply(victim, "k");
  await put(cluster.theLeader(), "k", "right");
  await cluster.until(() => cluster.theLeader().kv.health.check.verdict.kind === "undecided");
  expect(victim.kv.health.trust.reason).toBeNull();
  expect(errors()[0]?.message).toContain("no majority says who is right");
  await cluster.boot(away.id);
  await cluster.until(() => victim.kv.health.trust.rebuilds === 1);
  expect(held(victim, "k")).toBe("right");
});

test("an alarm is not over because the member that it is about says nothing", async () => {
  await started({ config: NO_SCRUB });
  const victim = cluster.follower();
  misapply(victim, "k");
  withoutStates(victim);
  await put(cluster.theLeader(), "k", "right");
  const leader = cluster.theLeader();
  await cluster.until(() => leader.kv.health.check.alarm !== null);
  cluster.isolate(victim.id);
  await cluster.advance(30_000);
  expect(leader.kv.health.check.verdict.suspects).toEqual([victim.id]);
  expect(errors().filter(({ member }) => member === leader.id)).toHaveLength(1);
});

test("a member without digests, of an older release, is left out", async () => {
  await started({ config: NO_SCRUB });
  await put(cluster.theLeader(), "k", "v");
  for (const { handlers } of followers()) (handlers as Map<string, CallHandler>).delete(DIGEST_METHOD);
  await cluster.advance(25_000);
  expect([...cluster.theLeader().kv.health.check.outcomes.keys()]).toEqual(["unanswered"]);
  expect(errors()).toEqual([]);
});

test("both beats fit into the 30 s within which damage is to be found, a lost round included", () => {
  expect(2 * REPLICA_DEFAULTS.hashCheckMs + 3_000).toBeLessThan(ALARM_MS);
  expect(REPLICA_DEFAULTS.scrubMs).toBeLessThan(ALARM_MS / 2 + 1);
});
