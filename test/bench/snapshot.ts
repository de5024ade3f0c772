/**
 * What a snapshot of 200 MB costs those who go on writing: made, sent, installed, compacted, restarted from.
 *
 * Idea. Three processes with production's raft, replica, store, disk and sockets on loopback (snapshot/member.ts); one of them
 * leads and takes a write every 10 ms. "quiet" is the machine itself: nothing but the writes. Columns:
 *   stall L, stall F   the longest that the leader's event loop, and a follower's, stood still; in brackets the most processor time
 *                      that the process used between two looks: what it did to itself
 *   beats, replies     heartbeats that a follower missed, replies that the leader missed, and the longest gap between two
 *   writes ...         how many there were, and how long they took
 *
 * Beside others who use the machine, half of what it shows is theirs. As root, a shell of its own helps:
 * `setsid -w bash -c 'echo -20 > /proc/self/autogroup; exec nice -n -20 bun run bench:snapshot'`.
 *
 * Usage: bun run bench:snapshot [megabytes] [bytes a value]      (200 MB, 2,048)
 *
 * @module
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FromMember, MemberArguments, MemberStatus, Order, PhaseFigures } from "./snapshot/member.ts";

const MEGABYTES = Number(process.argv[2] ?? 200);
const VALUE_BYTES = Number(process.argv[3] ?? 2_048);
const MB = 1024 * 1024;
const WRITE_EVERY_MS = 10;
const QUIET_MS = 5_000;
/** More than raft keeps in memory behind a snapshot, so that who was away needs the snapshot. */
const MISSED_MB = 24;
const LONGEST_MS = 120_000;

interface Row {
  readonly phase: string;
  readonly tookMs: number;
  readonly leader: PhaseFigures;
  readonly followers: readonly PhaseFigures[];
}

class Member {
  readonly id: number;
  readonly dataDir: string;
  readonly #addresses: readonly string[];
  #process: Bun.Subprocess | null = null;
  #nextOrder = 1;
  readonly #pending = new Map<number, PromiseWithResolvers<unknown>>();
  #events = new Map<string, PromiseWithResolvers<FromMember>>();

  constructor(id: number, dataDir: string, addresses: readonly string[]) {
    this.id = id;
    this.dataDir = dataDir;
    this.#addresses = addresses;
  }

  /** @returns how long the process needed until raft was ready. */
  async start(): Promise<number> {
    const given: MemberArguments = { dataDir: this.dataDir, self: this.id, addresses: this.#addresses };
    const script = join(import.meta.dir, "snapshot/member.ts");
    const startedAt = performance.now();
    this.#events = new Map();
    this.#process = Bun.spawn([process.execPath, script, JSON.stringify(given)], {
      stdio: ["ignore", "inherit", "inherit"],
      ipc: (message: FromMember) => this.#heard(message),
      onExit: (child, code, signal) => {
        if (child === this.#process) this.#ended(`member ${this.id} ended (${code ?? signal})`);
      },
    });
    await this.event("ready");
    return performance.now() - startedAt;
  }

  async ask<T>(order: Order): Promise<T> {
    const id = this.#nextOrder++;
    const pending = Promise.withResolvers<unknown>();
    this.#pending.set(id, pending);
    this.#process?.send({ ...order, id });
    return (await within(`"${order.op}" of member ${this.id}`, pending.promise)) as T;
  }

  event(name: "ready" | "installed"): Promise<FromMember> {
    return within(`"${name}" of member ${this.id}`, this.#event(name).promise);
  }

  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = null;
    child?.kill("SIGKILL");
    await child?.exited;
  }

  #event(name: string): PromiseWithResolvers<FromMember> {
    const event = this.#events.get(name) ?? Promise.withResolvers<FromMember>();
    this.#events.set(name, event);
    return event;
  }

  #heard(message: FromMember): void {
    if ("event" in message) return this.#event(message.event).resolve(message);
    const pending = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if (message.error === undefined) pending?.resolve(message.result);
    else pending?.reject(new Error(message.error));
  }

  #ended(why: string): void {
    for (const pending of this.#pending.values()) pending.reject(new Error(why));
    this.#pending.clear();
    for (const { promise, reject } of this.#events.values()) {
      promise.catch(() => {});
      reject(new Error(why));
    }
  }
}

async function within<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: Timer | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Wait for ${what}: nothing in ${LONGEST_MS} ms`)), LONGEST_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function freeAddresses(count: number): Promise<string[]> {
  const servers = Array.from({ length: count }, () => createServer());
  await Promise.all(servers.map((server) => new Promise<void>((done) => server.listen(0, "127.0.0.1", done))));
  const addresses = servers.map((server) => `127.0.0.1:${(server.address() as { port: number }).port}`);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return addresses;
}

async function leaderOf(members: readonly Member[]): Promise<Member> {
  for (;;) {
    for (const member of members) {
      if ((await member.ask<MemberStatus>({ op: "status" })).role === "leader") return member;
    }
    await Bun.sleep(50);
  }
}

/** Gauges all members while `act` runs. */
async function phase(
  name: string,
  leader: Member,
  others: readonly Member[],
  act: () => Promise<unknown>,
): Promise<Row> {
  for (const member of [leader, ...others]) await member.ask({ op: "begin" });
  const startedAt = performance.now();
  await act();
  const tookMs = performance.now() - startedAt;
  const figures = await Promise.all([leader, ...others].map((member) => member.ask<PhaseFigures>({ op: "end" })));
  const [first, ...followers] = figures as [PhaseFigures, ...PhaseFigures[]];
  // Whoever is away misses nothing.
  const beats = first.beats.filter(({ peer }) => others.some(({ id }) => id === peer));
  const row = { phase: name, tookMs, leader: { ...first, beats }, followers };
  print(row);
  return row;
}

function print({ phase: name, tookMs, leader, followers }: Row): void {
  const beats = followers.flatMap(({ beats }) => beats).filter(({ count }) => count > 0);
  const replies = leader.beats;
  const worst = (values: readonly number[]) => Math.round(Math.max(0, ...values));
  const cells = [
    name.padEnd(34),
    Math.round(tookMs),
    stall([leader]),
    stall(followers),
    `${beats.reduce((sum, { missed }) => sum + missed, 0)} (${worst(beats.map(({ gapMs }) => gapMs))})`,
    `${replies.reduce((sum, { missed }) => sum + missed, 0)} (${worst(replies.map(({ gapMs }) => gapMs))})`,
    leader.writes.count,
    leader.writes.p99Ms.toFixed(1),
    leader.writes.maxMs.toFixed(1),
    worst([leader, ...followers].map(({ residentMb }) => residentMb)),
  ];
  console.log(cells.map((cell) => (typeof cell === "string" ? cell : String(cell)).padStart(9)).join(" "));
}

/** The longest that a loop stood still, and how much of that was the process's own work; the rest was somebody else's turn. */
function stall(figures: readonly PhaseFigures[]): string {
  const worst = (of: (figures: PhaseFigures) => number) => Math.round(Math.max(...figures.map(of)));
  return `${worst(({ stall }) => stall.ms)} (${worst(({ stall }) => stall.ownMs)})`;
}

function snapshotMb(dataDir: string): number {
  const files = readdirSync(dataDir).filter((name) => name.includes(".snapshot-"));
  return Math.max(0, ...files.map((name) => statSync(join(dataDir, name)).size)) / MB;
}

async function untilCaughtUp(member: Member, leader: Member): Promise<void> {
  const { applied } = await leader.ask<MemberStatus>({ op: "status" });
  while ((await member.ask<MemberStatus>({ op: "status" })).applied < applied) await Bun.sleep(20);
}

async function measure(members: readonly Member[]): Promise<void> {
  await Promise.all(members.map((member) => member.start()));
  let leader = await leaderOf(members);
  const keys = Math.round((MEGABYTES * MB) / VALUE_BYTES);
  console.log(`${keys} keys of ${VALUE_BYTES} bytes`);
  console.log(
    "phase".padEnd(34) +
      ["took ms", "stall L", "stall F", "beats", "replies", "writes", "p99 ms", "max ms", "RSS MB"]
        .map((head) => head.padStart(10))
        .join(""),
  );
  const others = () => members.filter((member) => member !== leader);
  await phase("fill", leader, others(), () => leader.ask({ op: "fill", from: 0, keys, valueBytes: VALUE_BYTES }));
  await leader.ask({ op: "write", everyMs: WRITE_EVERY_MS });
  await phase("quiet", leader, others(), () => Bun.sleep(QUIET_MS));
  await phase("make", leader, others(), () => leader.ask({ op: "snapshot" }));
  console.log(`  the file has ${snapshotMb(leader.dataDir).toFixed(0)} MB`);
  const [laggard, steady] = others() as [Member, Member];
  await laggard.kill();
  const missed = Math.round((MISSED_MB * MB) / VALUE_BYTES);
  await phase("write while one is away", leader, [steady], () =>
    leader.ask({ op: "fill", from: 0, keys: missed, valueBytes: VALUE_BYTES }),
  );
  await leader.ask({ op: "snapshot" });
  const readyMs = await laggard.start();
  await phase("send, install", leader, [steady, laggard], () => laggard.event("installed"));
  await phase("catch up behind it", leader, [steady, laggard], () => untilCaughtUp(laggard, leader));
  const before = await leader.ask<MemberStatus>({ op: "status" });
  await phase("overwrite, compacting", leader, others(), async () => {
    await leader.ask({ op: "fill", from: 0, keys: missed, valueBytes: VALUE_BYTES });
    await Bun.sleep(500);
  });
  const after = await leader.ask<MemberStatus>({ op: "status" });
  console.log(`  ${after.compactRevision - before.compactRevision} revisions compacted, ${after.changes} changes kept`);
  await laggard.ask({ op: "snapshot" });
  await laggard.kill();
  const againMs = await laggard.start();
  console.log(`restart to ready: ${Math.round(readyMs)} ms, ${Math.round(againMs)} ms`);
  await leader.ask({ op: "pause-writes" });
  const crashed = leader;
  await crashed.kill();
  leader = await leaderOf(members.filter((member) => member !== crashed));
  console.log(`restart of the leader: ${Math.round(await crashed.start())} ms`);
}

const root = mkdtempSync(join(tmpdir(), "flt-bench-snapshot-"));
const addresses = await freeAddresses(3);
const members = addresses.map((_, at) => {
  const dataDir = mkdtempSync(join(root, "member-"));
  return new Member(at + 1, dataDir, addresses);
});
try {
  await measure(members);
} finally {
  await Promise.all(members.map((member) => member.kill()));
  rmSync(root, { recursive: true, force: true });
}
