/**
 * What a later release writes: not proposed before everybody knows it, not applied by who does not.
 *
 * @module
 */
import { afterEach, expect, test } from "bun:test";
import { KvCluster } from "../../test/fakes/kv-cluster.ts";
import { FORMAT_LEVEL, NewerFormatError } from "../lib/format.ts";
import { encodeText } from "../lib/text.ts";
import { encodeCommand } from "../store/codec.ts";
import { replicaHandlers } from "./handlers.ts";
import { decodeReply, encodeRequest } from "./leader-codec.ts";
import { LEADER_METHOD } from "./leader-route.ts";
import { LeaderService } from "./leader-service.ts";
import type { Raft } from "./ports.ts";
import { StoreMachine } from "./store-machine.ts";

const LATER = FORMAT_LEVEL + 1;
const command = encodeCommand({ kind: "compact", revision: 1 });
const later = Uint8Array.from([LATER, ...command.subarray(1)]);
const patience = { timeoutMs: 100 };

let cluster: KvCluster | undefined;
afterEach(() => cluster?.stop());

function serviceAt(level: number, because: string): { readonly service: LeaderService; readonly proposed: number[] } {
  const proposed: number[] = [];
  const raft = {
    role: "leader",
    propose: (data: Uint8Array) => {
      proposed.push(data[0] ?? 0);
      return Promise.resolve({ index: 1, result: { kind: "compact", revision: 1 } });
    },
  } as unknown as Raft;
  return {
    service: new LeaderService({
      raft,
      leases: {} as never,
      clusterLevel: () => ({ level, because }),
      trust: { reason: null } as never,
      check: { isSettled: true } as never,
    }),
    proposed,
  };
}

test("the leader proposes a command of a later level only when the whole cluster knows it, and says who does not", async () => {
  const { service, proposed } = serviceAt(1, "machine 22222222");
  const reply = await service.serve({ kind: "command", command: later }, patience);
  expect(reply).toMatchObject({ kind: "failed", code: "unavailable" });
  expect(reply).toMatchObject({
    message: expect.stringContaining("because of machine 22222222: upgrade flt there first"),
  });
  expect(await service.serve({ kind: "command", command }, patience)).toMatchObject({ kind: "applied" });
  expect(proposed).toEqual([1]);
  const raised = serviceAt(LATER, "");
  expect(await raised.service.serve({ kind: "command", command: later }, patience)).toMatchObject({ kind: "applied" });
  expect(raised.proposed).toEqual([LATER]);
});

test("what a later member forwards is answered with advice, and nothing is done", async () => {
  cluster = new KvCluster({});
  await cluster.start();
  const leader = cluster.leader();
  if (leader === undefined) throw new Error("no leader");
  const handler = replicaHandlers(leader.kv).get(LEADER_METHOD);
  if (handler?.kind !== "unary") throw new Error("no unary method");
  const request = encodeRequest({ kind: "command", command: later }, 1_000);
  const newer = Uint8Array.from([LATER, ...encodeRequest({ kind: "command", command }, 1_000).subarray(1)]);
  for (const body of [request, newer]) {
    const reply = decodeReply(await handler.handle(body, { signal: new AbortController().signal }));
    expect(reply).toMatchObject({ kind: "failed", code: "unavailable" });
    expect(reply).toMatchObject({ message: expect.stringContaining("upgrade flt on this machine") });
  }
});

test("an entry of a later level ends whoever cannot apply it, with advice; one that is garbage is an assertion", () => {
  const machine = new StoreMachine();
  const entry = { index: 1, term: 1, kind: "normal" as const };
  expect(() => machine.apply({ ...entry, data: later })).toThrow(NewerFormatError);
  expect(() => machine.apply({ ...entry, data: encodeText("\0") })).toThrow("Assertion failed");
  expect(machine.position).toBe(0);
});

test("a snapshot of a later level is refused with advice", async () => {
  const machine = new StoreMachine();
  machine.apply({ index: 1, term: 1, kind: "normal", data: encodeCommand({ kind: "lease-grant", id: 7, ttlMs: 9 }) });
  const chunks: Uint8Array[] = [];
  for await (const chunk of machine.snapshot()) chunks.push(chunk);
  const header = chunks[0];
  if (header === undefined) throw new Error("no header");
  // Length, checksum and kind stand before the version.
  expect(header[9]).toBe(1);
  header[9] = LATER;
  new DataView(header.buffer).setUint32(4, Bun.hash.crc32(header.subarray(8)));
  const loader = new StoreMachine().load();
  expect(() => loader.write(header)).toThrow(`Cannot read a snapshot of the store: it has format ${LATER}`);
});
