/**
 * The bytes of every format that outlives one program, or that two releases exchange: written once, in formats.golden.txt, and
 * never changed by accident.
 *
 * Idea. Each line is a value of today's program as it is written. The test asks for two things: that the same value is still written
 * like that (the release before must read it), and that those bytes are still read as that value (this release must read what was
 * written before). A wanted change is a new level (src/lib/format.ts) with lines of its own; the old ones stay.
 *
 * After adding lines: `UPDATE_FORMATS=1 bun test test/contract/formats.test.ts`, which adds and never rewrites.
 *
 * @module
 */
import { Database } from "bun:sqlite";
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { openSqliteLog } from "#raft/adapters";
import {
  decodeHello,
  decodePrefix,
  decodeResume,
  encodeHello,
  encodePrefix,
  encodeResume,
  PROTOCOL_VERSION,
} from "../../raft/adapters/frames.ts";
import { encodeMembership } from "../../raft/core/config-entry.ts";
import { decodeMessage, encodeMessage } from "../../raft/driver/codec.ts";
import type { Message } from "../../raft/types.ts";
import { FORMAT_LEVEL } from "../../src/lib/format.ts";
import { decodeText, encodeText } from "../../src/lib/text.ts";
import {
  CALL_VERSION,
  decodeFields,
  encodeFields,
  encodeFrame,
  encodeRequest,
} from "../../src/platform/call-frames.ts";
import { openDataDir } from "../../src/platform/data-dir.ts";
import * as records from "../../src/registry/records.ts";
import * as digests from "../../src/replica/consistency-codec.ts";
import * as leader from "../../src/replica/leader-codec.ts";
import { decodeCommand, encodeCommand } from "../../src/store/codec.ts";
import type { Command, CommandResult } from "../../src/store/command.ts";
import { decodeResult, encodeResult } from "../../src/store/result-codec.ts";
import { SnapshotReader } from "../../src/store/snapshot.ts";
import { Store } from "../../src/store/store.ts";
import { machineId, registration, unitReport } from "../fakes/registry-world.ts";

const GOLDEN = `${import.meta.dir}/formats.golden.txt`;
const folder = mkdtempSync(`${tmpdir()}/flt-formats-`);
afterAll(() => rmSync(folder, { recursive: true }));

interface Sample {
  readonly bytes: Uint8Array;
  /** What the bytes say; left out where nothing reads them by itself. */
  readonly read?: (bytes: Uint8Array) => unknown;
}

const key = encodeText("/flt/a");
const end = encodeText("/flt/b");
const value = Uint8Array.from([0, 1, 255]);

const COMMANDS: Readonly<Record<string, Command>> = {
  txn: {
    kind: "txn",
    request: {
      compare: [
        { target: "value", result: "=", key, value },
        { target: "version", result: "!=", key, value: 0 },
        { target: "create", result: "<", key, end, value: 7 },
        { target: "mod", result: ">", key, value: 300 },
        { target: "lease", result: "=", key, value: 2 ** 40 },
      ],
      success: [
        { op: "put", key, value, lease: 9, prevKv: true, ignoreValue: false, ignoreLease: false },
        { op: "delete", key, end, prevKv: true },
        { op: "range", key, end, sort: { target: "mod", descending: true }, keysOnly: true, limit: 5, revision: 3 },
      ],
      failure: [{ op: "txn", compare: [], success: [{ op: "range", key, countOnly: true }], failure: [] }],
    },
  },
  "lease-grant": { kind: "lease-grant", id: 5, ttlMs: 4_000 },
  "lease-revoke": { kind: "lease-revoke", ids: [1, 2, 300] },
  compact: { kind: "compact", revision: 12_345 },
};

const kv = { key, value, createRevision: 1, modRevision: 2, version: 3, lease: 4 };
const RESULTS: Readonly<Record<string, CommandResult>> = {
  txn: {
    kind: "txn",
    response: {
      revision: 9,
      succeeded: true,
      results: [
        { op: "put", prev: kv },
        { op: "put" },
        { op: "delete", deleted: 1, prevKvs: [kv] },
        { op: "range", revision: 9, kvs: [kv], more: true, count: 2 },
        { op: "txn", revision: 9, succeeded: false, results: [] },
      ],
    },
  },
  "lease-grant": { kind: "lease-grant", lease: { id: 5, ttlMs: 4_000 }, revision: 9 },
  "lease-revoke": { kind: "lease-revoke", revoked: [1, 2], revision: 9 },
  compact: { kind: "compact", revision: 9 },
  refused: { kind: "refused", code: "compacted", message: "Gone", compactRevision: 8 },
};

const meta = { index: 7, term: 2, membership: { voters: [1, 2, 3], learners: [4] } };
const from = { from: 1, to: 2, term: 3 };
const MESSAGES: readonly Message[] = [
  { kind: "pre-vote", ...from, lastIndex: 5, lastTerm: 2 },
  { kind: "pre-vote-reply", ...from, granted: true },
  { kind: "vote", ...from, lastIndex: 5, lastTerm: 2, transfer: true },
  { kind: "vote-reply", ...from, granted: false },
  {
    kind: "append",
    ...from,
    prevIndex: 5,
    prevTerm: 2,
    commit: 4,
    entries: [
      { index: 6, term: 3, kind: "noop", data: new Uint8Array() },
      { index: 7, term: 3, kind: "normal", data: value },
    ],
  },
  { kind: "append-reply", ...from, index: 6, rejected: true, hintIndex: 4, hintTerm: 1 },
  { kind: "heartbeat", ...from, commit: 4, readContext: 11 },
  { kind: "heartbeat-reply", ...from, readContext: 11 },
  { kind: "snapshot", ...from, snapshot: meta },
  { kind: "read-index", ...from, context: 12 },
  { kind: "read-index-reply", ...from, context: 12, index: 6, rejected: false },
  { kind: "timeout-now", ...from },
  { kind: "recovering", ...from, recovery: 300 },
  { kind: "recovery-reply", ...from, recovery: 300, index: 6, rejected: true, hintIndex: 4, hintTerm: 1 },
  { kind: "recovered", ...from, recovery: 300 },
];

const configAppend: Message = {
  kind: "append",
  ...from,
  prevIndex: 5,
  prevTerm: 2,
  commit: 4,
  entries: [
    { index: 6, term: 3, kind: "config", data: encodeMembership({ voters: [1, 2], learners: [3], outgoing: [1] }) },
  ],
};
const jointSnapshot: Message = {
  kind: "snapshot",
  ...from,
  snapshot: { index: 5, term: 2, membership: { voters: [1, 2], learners: [3], outgoing: [1] } },
};

function filledStore(): Store {
  const store = new Store();
  store.apply({ kind: "lease-grant", id: 5, ttlMs: 4_000 });
  const put = { op: "put" as const, key, value, lease: 5 };
  store.apply({ kind: "txn", request: { compare: [], success: [put], failure: [] } });
  store.apply({ kind: "txn", request: { compare: [], success: [{ op: "delete", key }], failure: [] } });
  return store;
}

function snapshotBytes(): Uint8Array {
  return Buffer.concat([...filledStore().snapshot(3)]);
}

function readSnapshot(bytes: Uint8Array): unknown {
  const reader = new SnapshotReader();
  reader.write(bytes);
  const { position, revision, compactRevision, leases, history } = reader.finish();
  const lastChosenLease = leases.lastChosen;
  return { position, revision, compactRevision, lastChosenLease, leases: leases.all(), changes: [...history.since(0)] };
}

const unitFile = [{ section: "Service", name: "ExecStart", value: "/bin/true" }];
const hash = "0".repeat(40);
const report = unitReport(1, "a.service", { problem: "No such file", result: "exit-code" });
const hello = { version: PROTOCOL_VERSION, purpose: "messages" as const, from: 1, to: 2, clusterId: "c1" };

const snapshotPrefix = { index: 7, term: 3, chunks: 300, digest: "0f1e2d3c" };

const SAMPLES: Readonly<Record<string, Sample>> = {
  ...prefixed(
    "command",
    mapped(COMMANDS, (command) => ({ bytes: encodeCommand(command), read: decodeCommand })),
  ),
  ...prefixed(
    "result",
    mapped(RESULTS, (result) => ({ bytes: encodeResult(result), read: decodeResult })),
  ),
  "store snapshot": { bytes: snapshotBytes(), read: readSnapshot },
  "leader request: command": {
    bytes: leader.encodeRequest({ kind: "command", command: encodeCommand({ kind: "compact", revision: 1 }) }, 4_200),
    read: leader.decodeRequest,
  },
  "leader request: keep-alive": {
    bytes: leader.encodeRequest({ kind: "keep-alive", id: 5 }, 4_200),
    read: leader.decodeRequest,
  },
  "leader request: remaining": {
    bytes: leader.encodeRequest({ kind: "remaining", id: 5 }, 4_200),
    read: leader.decodeRequest,
  },
  ...prefixed(
    "leader reply",
    mapped<leader.LeaderReply>(
      {
        applied: { kind: "applied", index: 7, result: { kind: "compact", revision: 9 } },
        "kept-alive": { kind: "kept-alive", lease: { id: 5, ttlMs: 4_000 } },
        remaining: { kind: "remaining", remainingMs: -1 },
        elsewhere: { kind: "elsewhere", leader: 2, reason: "it does not lead" },
        failed: { kind: "failed", code: "unavailable", message: "No quorum" },
      },
      (reply) => ({ bytes: leader.encodeReply(reply), read: leader.decodeReply }),
    ),
  ),
  "digest question": { bytes: digests.encodeQuestion(7, 2_900), read: digests.decodeQuestion },
  // The digest itself is a format, too: members of two releases compare it.
  "digest of the store snapshot": {
    bytes: digests.encodeReading({ kind: "digest", digest: filledStore().digest }),
    read: digests.decodeReading,
  },
  "digest report": {
    bytes: digests.encodeReport({
      index: 7,
      readings: new Map<number, digests.Reading>([
        [1, { kind: "digest", digest: { high: 0x01020304, low: 0xfffefdfc } }],
        [2, digests.UNKNOWN],
        [3, digests.DISTRUSTED],
      ]),
    }),
    read: digests.decodeReport,
  },
  ...Object.fromEntries(
    MESSAGES.map((message) => [`raft ${message.kind}`, { bytes: encodeMessage(message), read: decodeMessage }]),
  ),
  "raft append of a config entry": { bytes: encodeMessage(configAppend), read: decodeMessage },
  "raft snapshot of a joint membership": { bytes: encodeMessage(jointSnapshot), read: decodeMessage },
  "raft hello": { bytes: encodeHello(hello), read: decodeHello },
  "raft prefix of a snapshot": { bytes: encodePrefix(snapshotPrefix), read: decodePrefix },
  "raft resume of a snapshot": { bytes: encodeResume(300), read: decodeResume },
  "call hello": {
    bytes: encodeFrame("hello", 0, encodeFields({ cluster: "c1", version: String(CALL_VERSION) })),
    read: (bytes) => decodeFields(bytes.subarray(9)),
  },
  "call unary": { bytes: encodeFrame("unary", 3, encodeRequest("kv.leader", value)) },
  "record unit": { bytes: records.encodeUnitFile(unitFile), read: records.decodeUnitFile },
  "record job": {
    bytes: records.encodeJob({ hash, desiredState: "launched", machine: machineId(1) }),
    read: records.decodeJob,
  },
  "record job, placed nowhere": {
    bytes: records.encodeJob({ hash, desiredState: "inactive", machine: null }),
    read: records.decodeJob,
  },
  "record schedule": {
    bytes: records.encodeSchedule({ hash, desiredState: "loaded" }),
    read: records.decodeSchedule,
  },
  "record state": {
    bytes: records.encodeReport(report),
    read: (bytes) => records.decodeReport(report.machineId, report.name, bytes),
  },
  "record machine": {
    bytes: records.encodeMachine(registration(1, { region: "eu" })),
    read: (bytes) => records.decodeMachine(machineId(1), bytes),
  },
  "record address": {
    bytes: records.encodeAddress({ address: "10.0.0.1:2380", format: 1 }),
    read: records.decodeAddress,
  },
  "record metadata": { bytes: records.encodeMetadata({ value: "eu" }), read: records.decodeMetadata },
  "record metadata, removed": { bytes: records.encodeMetadata({ value: null }), read: records.decodeMetadata },
  "record reason": {
    bytes: records.encodeReasons([{ machineId: machineId(1), reason: "Holds it" }]),
    read: records.decodeReasons,
  },
  "record leader": { bytes: records.encodeLeader(machineId(1)), read: records.decodeLeader },
  "record leader, elected": { bytes: records.encodeLeader(machineId(1), "0f1e2d3c"), read: records.decodeLeader },
  "record registry": { bytes: records.encodeRegistry("0f1e2d3c"), read: records.decodeRegistry },
};

function mapped<T>(of: Readonly<Record<string, T>>, sample: (value: T) => Sample): Record<string, Sample> {
  return Object.fromEntries(Object.entries(of).map(([name, item]) => [name, sample(item)]));
}

function prefixed(what: string, samples: Readonly<Record<string, Sample>>): Record<string, Sample> {
  return Object.fromEntries(Object.entries(samples).map(([name, sample]) => [`${what}: ${name}`, sample]));
}

/** JSON as it is, anything else in hexadecimal. */
function shown(bytes: Uint8Array): string {
  return bytes[0] === 0x7b ? decodeText(bytes) : Buffer.from(bytes).toString("hex");
}

function bytesOf(text: string): Uint8Array {
  return text.startsWith("{") ? encodeText(text) : Uint8Array.from(Buffer.from(text, "hex"));
}

function readGolden(): Map<string, string> {
  const lines = readFileSync(GOLDEN, "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => line.split(" = ") as [string, string]));
}

if (process.env.UPDATE_FORMATS === "1") {
  const golden = readGolden();
  const added = Object.entries(SAMPLES).filter(([name]) => !golden.has(name));
  const text = added.map(([name, { bytes }]) => `${name} = ${shown(bytes)}\n`).join("");
  writeFileSync(GOLDEN, readFileSync(GOLDEN, "utf8") + text);
}

describe(`formats of level ${FORMAT_LEVEL}`, () => {
  const golden = readGolden();
  test.each(Object.entries(SAMPLES))("%s: written as ever, and read as ever", (name, { bytes, read }) => {
    expect(shown(bytes)).toBe(golden.get(name) ?? "nothing: run with UPDATE_FORMATS=1 to add it");
    if (read !== undefined) expect(read(bytesOf(golden.get(name) ?? ""))).toEqual(read(bytes));
  });

  test("no line without a sample: what was ever written must be read for ever", () => {
    expect([...golden.keys()].filter((name) => SAMPLES[name] === undefined)).toEqual([]);
  });

  test("the data directory: identity.json and the tables of raft.db", async () => {
    await openDataDir(folder, null);
    const identity = JSON.parse(readFileSync(`${folder}/identity.json`, "utf8")) as Record<string, unknown>;
    expect(identity).toEqual({
      version: 1,
      identity: expect.stringMatching(/^[0-9a-f]{32}$/),
      cluster: expect.stringMatching(/^solo-[0-9a-f]{16}$/),
      members: [],
    });
    const path = `${folder}/raft.db`;
    await (await openSqliteLog({ path, clusterId: "c1", nodeId: 1 })).close();
    const database = new Database(path, { readonly: true });
    const meta = database.query("SELECT key, value FROM meta ORDER BY key").all();
    expect(meta).toMatchObject([
      { key: "check", value: expect.any(Number) },
      { key: "cluster", value: "c1" },
      { key: "format", value: 1 },
      { key: "node", value: 1 },
    ]);
    const columns = (table: string) =>
      (database.query(`PRAGMA table_info(${table})`).all() as { readonly name: string }[])
        .map(({ name }) => name)
        .join(" ");
    expect(Object.fromEntries(["meta", "state", "entry", "snapshot"].map((table) => [table, columns(table)]))).toEqual({
      meta: "key value",
      state: "one term vote commit_index last_index last_term crc",
      entry: "log_index term kind data crc",
      snapshot: "one file chunks bytes meta crc",
    });
    database.close();
  });
});
