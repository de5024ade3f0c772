/**
 * How a member is brought to a point: each scenario leads one there and returns it once its process has ended, or has refused.
 *
 * @module
 */
import { Database } from "bun:sqlite";
import { join } from "node:path";
import { eventually, sleep } from "../hosts/lib/wait.ts";
import type { End, Member, TestCluster } from "./cluster.ts";
import type { Action } from "./inject/failpoint.ts";
import { promisesIn } from "./promises.ts";
import type { Writers } from "./writers.ts";

export interface Round {
  readonly cluster: TestCluster;
  readonly writers: Writers;
  /** From 0; chooses who is hit: leader or follower, this one or that. */
  readonly number: number;
}

/** A point, and the pass at which it acts. */
export interface Order {
  readonly name: string;
  readonly pass: number;
  readonly action: Action;
}

export type Scenario = (round: Round, order: Order) => Promise<Member>;

export const REACHED_MS = 30_000;
/** As src/daemon/main.ts has it: why, and what to do. */
export const LAST_LINE = /\nStopped: .+: the disk failed \(.+\); look at .+\n$/;
/** The newest of so many entries are what a start reads behind the snapshot. */
const DAMAGED_BEHIND = 5;
/** How long a disk stays full at least. */
const FULL_MS = 300;
/** A disk is full until it has room; whatever else happens, happens once. */
const word = ({ name, pass, action }: Order): string => `${name}:${action === "ENOSPC" ? "all" : pass}:${action}`;
const arm = (member: Member, order: string): Promise<null> => member.call(`/arm?word=${order}`);

/** The leader and its followers take turns. */
export async function target({ cluster, number }: Round): Promise<Member> {
  return number % 2 === 0 ? await cluster.leader() : await cluster.follower(number >> 1);
}

/** It was killed there, and nowhere else; or its disk failed, and it ended with the reason as its last line. */
async function ended(member: Member, order: Order): Promise<Member> {
  const { signal, status, said } = await endOf(member, order);
  const isKilled = order.action === "kill" && signal === "SIGKILL" && said.includes(`failpoint ${order.name}: kill`);
  if (!isKilled && !(order.action === "EIO" && status === 1 && LAST_LINE.test(said))) {
    throw new Error(`End at "${order.name}": signal ${signal}, status ${status}: ${said.slice(-1000)}`);
  }
  return member;
}

export async function endOf(member: Member, { name, pass }: Order): Promise<End> {
  let timer: Timer | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), REACHED_MS);
  });
  const end = await Promise.race([member.ended, late]);
  clearTimeout(timer);
  if (end === null) throw new Error(`Reach "${name}": it was not passed ${pass} times; ${member.said.slice(-500)}`);
  return end;
}

/** Writers alone lead there. */
export const load: Scenario = async (round, order) => {
  const member = await target(round);
  await arm(member, word(order));
  return await ended(member, order);
};

/** A new term, which everybody must remember. */
export const election: Scenario = async (round, order) => {
  const member = await target(round);
  await arm(member, word(order));
  // A hand-over may come to nothing: then the next one is tried.
  await eventually(`"${order.name}" to be reached`, REACHED_MS, async () => {
    await transfer(round);
    return !member.isUp;
  });
  return await ended(member, order);
};

/** @param not Whom it is not to go to. */
async function transfer({ cluster, number }: Round, not?: Member): Promise<void> {
  const leader = await cluster.leader();
  const heirs = cluster.others(leader).filter((member) => member !== not);
  const heir = heirs[number % heirs.length] as Member;
  await leader.call(`/campaign?to=${heir.owner.nodeId}`).catch(() => null);
}

/** A learner is added, or taken out again, until the member is there. */
export const membership: Scenario = async (round, order) => {
  const member = await target(round);
  await arm(member, word(order));
  await eventually(`"${order.name}" to be reached`, REACHED_MS, async () => {
    if (!member.isUp) return true;
    await (await round.cluster.leader()).call("/learner");
    return !member.isUp;
  });
  return await ended(member, order);
};

/** It was away while the others cut their logs: it is sent a snapshot. */
export const behind: Scenario = async (round, order) => {
  const member = await away(round);
  member.launch(word(order));
  return await ended(member, order);
};

export async function away(round: Round): Promise<Member> {
  const member = await target(round);
  await member.kill();
  const { kept, pending } = promisesIn(member.directory)?.log ?? {};
  const last = Math.max(kept?.lastIndex ?? 0, pending?.lastIndex ?? 0);
  await eventually("the logs to be cut behind a member", REACHED_MS, async () => {
    // Of both: the office may change hands.
    const states = await Promise.all(round.cluster.others(member).map((other) => other.state()));
    return states.every(({ firstIndex }) => firstIndex > last + 1);
  });
  return member;
}

/** The leader, as it sends a snapshot to one that was away. */
export const sending: Scenario = async (round, order) => {
  const leader = await round.cluster.leader();
  const member = await away({ ...round, number: 1 });
  await arm(leader, word(order));
  await member.start();
  return await ended(leader, order);
};

/** One that is behind, with a disk that has no room for it, and then has. */
export const behindAgain: Scenario = async (round, order) => {
  const member = await away(round);
  member.launch(word(order));
  await member.ready();
  await eventually(`"${order.name}" to be passed`, REACHED_MS, () => member.said.includes(`failpoint ${order.name}`));
  await sleep(FULL_MS);
  if (!member.isUp)
    throw new Error(`Survive "${order.name}": the process ended: ${(await member.ended).said.slice(-1000)}`);
  await member.call("/disarm");
  return member;
};

/** A start, after a kill or an orderly stop. */
export const restart: Scenario = async (round, order) => {
  const member = await target(round);
  await member.kill(round.number % 4 < 2 ? "SIGKILL" : "SIGTERM");
  member.launch(word(order));
  return await ended(member, order);
};

/** The very first start, of a cluster that nobody has seen yet. */
export const founding: Scenario = async (round, order) => {
  const member = round.cluster.member(round.number);
  member.launch(word(order));
  await Promise.all(round.cluster.others(member).map((other) => other.start()));
  // Who was not asked for his vote got to know the first term with its first entries: the next term's vote is asked for.
  await eventually(`"${order.name}" to be reached`, REACHED_MS, async () => {
    await round.cluster.leader();
    if (member.isUp) await transfer(round);
    return !member.isUp;
  });
  return await ended(member, order);
};

/** A start that finds a file which no snapshot is. */
export const orphan: Scenario = async (round, order) => {
  const member = await load(round, { name: "slice.written", pass: 1, action: "kill" });
  member.launch(word(order));
  return await ended(member, order);
};

/** A start that finds an entry that was not written so: what it can verify becomes a new log, the rest is set aside. */
export const damaged: Scenario = async (round, order) => {
  const member = await target(round);
  await eventually("a log that has what is read at a start", REACHED_MS, async () => {
    if (!member.isUp) await member.start();
    await eventually("entries behind the snapshot", REACHED_MS, async () => {
      const { lastIndex, snapshotIndex } = await member.state();
      return lastIndex >= snapshotIndex + DAMAGED_BEHIND;
    });
    await member.kill("SIGTERM");
    return damageEntry(member.directory);
  });
  member.launch(word(order));
  return await ended(member, order);
};

/** @returns false where there is none that a start reads: it may have taken a snapshot at its end. */
function damageEntry(directory: string): boolean {
  const { kept, pending } = promisesIn(directory)?.snapshot ?? { kept: 0, pending: null };
  const database = new Database(join(directory, "raft.db"));
  // Not the last one: behind it there is something that cannot be believed any more, either. Nor a leader's first one, which is empty.
  const { changes } = database.run(
    "UPDATE entry SET data = zeroblob(length(data)) WHERE log_index = (SELECT max(log_index) FROM entry " +
      "WHERE length(data) > 0 AND log_index > ? AND log_index < (SELECT max(log_index) - 1 FROM entry))",
    [Math.max(kept, pending ?? 0)],
  );
  database.close();
  return changes > 0;
}

/** An orderly end. */
export const stop: Scenario = async (round, order) => {
  const member = await target(round);
  await arm(member, word(order));
  await member.kill("SIGTERM");
  return await ended(member, order);
};

/** A leader that wrote what nobody else has: a newer leader's entries replace its own. */
export const conflict: Scenario = async (round, order) => {
  const { cluster, writers } = round;
  await writers.end();
  const member = await cluster.leader();
  const others = cluster.others(member);
  await Promise.all(others.map((other) => other.kill()));
  const { lastIndex } = await member.state();
  const open = [1, 2, 3].map((n) => writers.write(member, `conflict-${n}`));
  await eventually("entries that nobody else has, on disk", REACHED_MS, () => {
    return (promisesIn(member.directory)?.log.kept?.lastIndex ?? 0) > lastIndex;
  });
  await member.kill();
  await Promise.all(open);
  await Promise.all(others.map((other) => other.start()));
  await eventually("a write without the old leader", REACHED_MS, () =>
    writers.write(others[0] as Member, "conflict-1"),
  );
  // Before others write so much that it is sent a snapshot.
  member.launch(word(order));
  await ended(member, order);
  writers.begin();
  return member;
};

/** No transaction finds room: what a vote needs is kept in the reserve. */
export const full: Scenario = async (round, order) => {
  const member = await round.cluster.follower(round.number);
  await arm(member, "begin:all:ENOSPC");
  await arm(member, word(order));
  await eventually(`"${order.name}" to be reached`, REACHED_MS, async () => {
    await transfer(round, member);
    return !member.isUp;
  });
  return await ended(member, order);
};

/** The disk stays full for a while and has room again: nothing ends, and nothing must be started again. */
export const refusal: Scenario = async (round, order) => {
  const member = await target(round);
  const said = member.said.length;
  await arm(member, word(order));
  await eventually(`"${order.name}" to be refused`, REACHED_MS, () => {
    return !member.isUp || /disk is full/.test(member.said.slice(said));
  });
  await round.writers.write(member, "while-full");
  if (!member.isUp)
    throw new Error(`Survive a full disk: the process ended: ${(await member.ended).said.slice(-1000)}`);
  await member.call("/disarm");
  await eventually("a disk that takes entries again", REACHED_MS, async () => !(await member.state()).diskFull);
  return member;
};
