/** What a user reads, at the end of the whole way, when raft turned a write away: raft, leader, member, API. */
import { expect, test } from "bun:test";
import { DroppedError, type DropReason, LostError, NotLeaderError, UnknownFateError } from "#raft";
import { ManualClock } from "../../test/fakes/manual-clock.ts";
import { refusalOf } from "../api/fleet/errors.ts";
import { SILENT_LOG } from "../lib/log.ts";
import { encodeProposal } from "../store/codec.ts";
import type { HashCheck } from "./hash-check.ts";
import { LeaderRoute } from "./leader-route.ts";
import { LeaderService } from "./leader-service.ts";
import type { LeaseClock } from "./lease-clock.ts";
import type { Raft } from "./ports.ts";
import type { Trust } from "./trust.ts";

const command = encodeProposal({ kind: "lease-grant", id: 7, ttlMs: 9_000 });

/** The API's answer to a write that this member, who leads, proposes in vain. */
async function answerTo(refusal: Error): Promise<string> {
  const clock = new ManualClock();
  const raft: Raft = {
    id: 1,
    leader: 1,
    role: "leader",
    term: 1,
    propose: () => Promise.reject(refusal),
    readIndex: () => Promise.reject(refusal),
    onChange: () => () => {},
    transferLeader: () => Promise.resolve(false),
    renewSnapshot: () => Promise.resolve(),
  };
  const service = new LeaderService({
    raft,
    leases: {} as LeaseClock,
    clusterLevel: () => ({ level: 1, because: "" }),
    trust: { reason: null } as Trust,
    check: { isSettled: true } as HashCheck,
  });
  const calls = {
    call: () => Promise.reject(new Error("nobody else is asked")),
    stream: () => {
      throw new Error("nobody else is asked");
    },
  };
  const route = new LeaderRoute({ raft, service, calls, clock, members: new Map(), timeoutMs: 1_000 });
  const asked = route.ask("Write", { kind: "command", command }, {}).then(
    () => "done",
    (error: unknown) => {
      const { status, message } = refusalOf(error, "PUT", SILENT_LOG);
      return `${status} ${message}`;
    },
  );
  await clock.advance(1_100);
  return asked;
}

const dropped = (reason: DropReason) => new DroppedError(reason, `Propose: ${reason}`);
const inTime = "503 The cluster cannot answer now: Write failed: the leader did not take it in time";

test.each<[string, Error]>([
  [
    `${inTime} (it waits for a majority to take what was written before): nothing was done, try again`,
    dropped("too-much-uncommitted"),
  ],
  [`${inTime} (it is handing the leadership over): nothing was done, try again`, dropped("transferring")],
  [`${inTime} (it is stopping): nothing was done, try again`, dropped("stopped")],
  [`${inTime} (it does not lead): nothing was done, try again`, new NotLeaderError(0)],
  [`${inTime} (it lost the lead before the write was agreed on): nothing was done, try again`, new LostError()],
  ["507 The cluster's disk is full: Write failed: the leader's disk is full, make room for its", dropped("disk-full")],
  ["413 Propose: too-large", dropped("too-large")],
  ["504 Gave up waiting: Write failed: it was cancelled before anything was done", dropped("aborted")],
  [
    "504 The change may or may not have happened: Write failed: no quorum agreed on it",
    new UnknownFateError("deadline"),
  ],
])("%s", async (words, refusal) => {
  expect(await answerTo(refusal)).toStartWith(words);
});

test("a member that does not lead says so at once, also before it has compared its data with anybody's", async () => {
  const service = new LeaderService({
    raft: { leader: 0, role: "follower" } as Raft,
    leases: {} as LeaseClock,
    clusterLevel: () => ({ level: 1, because: "" }),
    trust: { reason: null } as Trust,
    check: { isSettled: false, settled: new Promise<void>(() => {}) } as unknown as HashCheck,
  });
  const reply = await service.serve({ kind: "command", command }, { timeoutMs: 1_000 });
  expect(reply).toEqual({ kind: "elsewhere", leader: 0, reason: "it does not lead" });
});
