/**
 * The process under test: production's StoreMember on loopback, without systemd, agent and API, driven through a unix socket.
 *
 * Usage: member DIRECTORY SELF ADDRESS,ADDRESS,ADDRESS. It prints "ready" once it serves, and ends as the daemon does: SIGTERM
 * in order, a fatal error with its reason as the last line and status 1.
 *
 * @module
 */
import { chmodSync, rmSync } from "node:fs";
import { StoreMember } from "../../src/daemon/store-member.ts";
import { FORMAT_LEVEL } from "../../src/lib/format.ts";
import { type Log, type LogFields, reasonOf } from "../../src/lib/log.ts";
import { decodeText, encodeText } from "../../src/lib/text.ts";
import { deriveCluster } from "../../src/replica/index.ts";
import { END_OF_KEYS, KvError } from "../../src/store/kv.ts";
import { controlSocket } from "./control.ts";
import { arm, disarm } from "./inject/failpoint.ts";

const LEARNER = 9;
const [directory = "", self = "", list = ""] = process.argv.slice(2);
const say = (level: string) => (message: string, fields?: LogFields) =>
  void process.stderr.write(`${level} ${message} ${fields === undefined ? "" : JSON.stringify(fields)}\n`);
const log: Log = { debug() {}, info: say("info"), notice: say("notice"), warning: say("warning"), error: say("error") };
const members = deriveCluster(list.split(","), self);
let ending = false;
let server: Bun.Server<undefined> | null = null;

const member = await StoreMember.open({
  dataDir: directory,
  clusterId: members.clusterId,
  members,
  peer: { listen: self, advertise: self },
  log,
  onFatal: (error) => void end(`Stopped: ${error.message}`, 1),
}).catch((error: unknown) => refused(error));
await member.start(new Map(), () => ({ level: FORMAT_LEVEL, because: "" })).catch((error: unknown) => refused(error));

const socket = controlSocket(directory);
rmSync(socket, { force: true });
const routes: Readonly<Record<string, (query: URLSearchParams, body: Uint8Array) => unknown>> = {
  "/put": async (query, value) => {
    const key = encodeText(query.get("key") ?? "");
    return member.kv.txn({ compare: [], success: [{ op: "put", key, value }], failure: [] });
  },
  "/state": () => state(),
  "/keys": async () => {
    const { kvs } = await member.kv.range({ key: END_OF_KEYS, end: END_OF_KEYS }, { serializable: true });
    return kvs.map(({ key, value }) => [decodeText(key), decodeText(value.subarray(0, value.indexOf(0)))]);
  },
  "/arm": (query) => arm(query.get("word") ?? ""),
  "/disarm": () => disarm(),
  "/snapshot": () => member.raft.snapshotNow(),
  "/campaign": (query) => member.raft.transferLeader(Number(query.get("to"))),
  /** Adds a learner that nobody runs, or takes it out again. */
  "/learner": () => {
    const { voters, learners } = member.raft.status().membership;
    return member.raft.changeMembership({ voters, learners: learners.length === 0 ? [LEARNER] : [] });
  },
};
server = Bun.serve({
  unix: socket,
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    try {
      const answer = await routes[pathname]?.(searchParams, new Uint8Array(await request.arrayBuffer()));
      return Response.json(answer ?? null);
    } catch (error) {
      const code = error instanceof KvError ? error.code : "failed";
      return Response.json({ code, message: reasonOf(error) }, { status: 503 });
    }
  },
});
chmodSync(socket, 0o600);
process.stdin.on("end", () => process.exit(0)).resume();
process.on("SIGTERM", () => void end("Stopped", 0));
process.stdout.write("ready\n");

function state(): unknown {
  const { role, term, leader, commit, applied, lastIndex, firstIndex, snapshotIndex, diskFull } = member.raft.status();
  const hash = member.machine.store.hash();
  return {
    id: member.raft.id,
    role,
    term,
    leader,
    commit,
    applied,
    lastIndex,
    firstIndex,
    snapshotIndex,
    diskFull,
    hash,
  };
}

function refused(error: unknown): never {
  process.stderr.write(`member: ${reasonOf(error)}\n`);
  process.exit(1);
}

async function end(line: string, status: number): Promise<void> {
  if (ending) return;
  ending = true;
  try {
    if (status === 0) await member.handOver();
    await member.stop();
    await server?.stop(true);
  } catch (error) {
    log.error("Ending the store failed", { reason: reasonOf(error) });
  }
  process.stderr.write(`${line}\n`);
  process.exit(status);
}
