/**
 * One member of the cluster that bench:snapshot measures: a process with production's disk, raft, replica, store and sockets, put
 * together as src/daemon/store-member.ts does, with gauges between.
 *
 * Idea. The parent orders by IPC and this process answers. A phase is what lies between `begin` and `end`: how long the event loop stood
 * still, what heartbeats and their replies did, how long writes took.
 *
 * @module
 */
import { join } from "node:path";
import { type Message, type NodeId, RaftNode, type Transport, type TransportHandler } from "#raft";
import { openSqliteLog, TcpTransport } from "#raft/adapters";
import { SILENT_LOG } from "../../../src/lib/log.ts";
import { CallsClient } from "../../../src/platform/calls-client.ts";
import { systemClock } from "../../../src/platform/clock.ts";
import { dialPeer, PeerListener } from "../../../src/platform/peer-listener.ts";
import { randomFloat } from "../../../src/platform/random.ts";
import { ReplicaKv, StoreMachine } from "../../../src/replica/index.ts";
import type { Op, TxnRequest } from "../../../src/store/kv.ts";
import { BeatGauge, type Beats, LoopGauge, type Stall, WriteGauge, type Writes } from "./gauges.ts";

export interface MemberArguments {
  readonly dataDir: string;
  readonly self: NodeId;
  readonly addresses: readonly string[];
}

export interface PhaseFigures {
  readonly stall: Stall;
  readonly writes: Writes;
  /** What came from each peer: a leader's heartbeats here, a follower's replies there. */
  readonly beats: readonly Beats[];
  readonly residentMb: number;
}

export interface MemberStatus {
  readonly role: string;
  readonly applied: number;
  readonly snapshotIndex: number;
  readonly compactRevision: number;
  readonly changes: number;
}

export interface FillOptions {
  readonly from: number;
  readonly keys: number;
  readonly valueBytes: number;
}

export type Order =
  | { readonly op: "begin" | "end" | "status" | "snapshot" | "pause-writes" }
  | { readonly op: "write"; readonly everyMs: number }
  | ({ readonly op: "fill" } & FillOptions);

export type ToMember = Order & { readonly id: number };
export type FromMember =
  | { readonly id: number; readonly result?: unknown; readonly error?: string }
  | { readonly event: "ready"; readonly startMs: number }
  | { readonly event: "installed" };

const KEYS_A_TXN = 50;
const FILLS_IN_FLIGHT = 4;
const encoder = new TextEncoder();

/** Production's transport, with an ear at what comes in. */
class HeardTransport implements Transport {
  readonly #inner: Transport;
  readonly #hear: (message: Message) => void;

  constructor(inner: Transport, hear: (message: Message) => void) {
    this.#inner = inner;
    this.#hear = hear;
  }

  start(handler: TransportHandler): Promise<void> {
    const message = (received: Message) => {
      this.#hear(received);
      handler.message(received);
    };
    return this.#inner.start(Object.assign(Object.create(handler) as TransportHandler, { message }));
  }
  send(messages: readonly Message[]): void {
    this.#inner.send(messages);
  }
  sendSnapshot(...transfer: Parameters<Transport["sendSnapshot"]>): Promise<void> {
    return this.#inner.sendSnapshot(...transfer);
  }
  stop(): Promise<void> {
    return this.#inner.stop();
  }
}

class MeasuredMember {
  readonly raft: RaftNode;
  readonly kv: ReplicaKv;
  readonly machine = new StoreMachine();
  readonly transport: TcpTransport;
  readonly #loop = new LoopGauge();
  readonly #writes = new WriteGauge();
  readonly #beats = new Map<NodeId, BeatGauge>();
  #writer: Timer | null = null;
  #sequence = 0;

  constructor(storage: Awaited<ReturnType<typeof openSqliteLog>>, { self, addresses }: MemberArguments) {
    const members = new Map(addresses.map((address, at) => [at + 1, address]));
    const log = { ...SILENT_LOG, warning: told, error: told, notice: told, info: told };
    this.transport = new TcpTransport({
      self,
      clusterId: "bench",
      peers: members,
      dial: dialPeer,
      clock: systemClock,
      log,
    });
    this.raft = new RaftNode(
      { id: self, membership: { voters: [...members.keys()], learners: [] } },
      {
        clock: systemClock,
        storage,
        transport: new HeardTransport(this.transport, (message) => this.#heard(message)),
        machine: this.machine,
        random: randomFloat,
        log,
        onFatal: (error) => {
          throw error;
        },
      },
    );
    const calls = new CallsClient({ clusterId: "bench", dial: dialPeer });
    const onHopeless = (error: Error) => {
      throw error;
    };
    const { raft, machine } = this;
    this.kv = new ReplicaKv({ raft, machine, calls, members, clock: systemClock, log, onHopeless });
  }

  async obey(order: Order): Promise<unknown> {
    switch (order.op) {
      case "begin":
        return this.#begin();
      case "end":
        return this.#end();
      case "status":
        return this.#status();
      case "snapshot":
        return this.raft.snapshotNow();
      case "fill":
        return this.#fill(order);
      case "write":
        this.#writer = setInterval(() => this.#writeOne(), order.everyMs);
        return undefined;
      case "pause-writes":
        if (this.#writer !== null) clearInterval(this.#writer);
        return undefined;
    }
  }

  #begin(): void {
    this.#loop.begin();
    this.#writes.begin();
    for (const gauge of this.#beats.values()) gauge.begin();
  }

  #end(): PhaseFigures {
    const beats = [...this.#beats].map(([peer, gauge]) => gauge.end(peer));
    const residentMb = process.memoryUsage.rss() / 1024 / 1024;
    return { stall: this.#loop.end(), writes: this.#writes.end(), beats, residentMb };
  }

  #status(): MemberStatus {
    const { role, applied, snapshotIndex } = this.raft.status();
    const { compactRevision, changesAboveFloor } = this.machine.store;
    return { role, applied, snapshotIndex, compactRevision, changes: changesAboveFloor };
  }

  #heard(message: Message): void {
    if (message.kind !== "heartbeat" && message.kind !== "heartbeat-reply") return;
    const gauge = this.#beats.get(message.from) ?? new BeatGauge();
    this.#beats.set(message.from, gauge);
    gauge.heard();
  }

  #writeOne(): void {
    const at = this.#sequence++;
    this.#writes.measure(this.kv.txn(puts([put(`writer/${at % 1000}`, new Uint8Array(200).fill(at))])));
  }

  async #fill({ from, keys, valueBytes }: FillOptions): Promise<void> {
    let next = from;
    const worker = async () => {
      while (next < from + keys) {
        const first = next;
        next += KEYS_A_TXN;
        const ops = Array.from({ length: Math.min(KEYS_A_TXN, from + keys - first) }, (_, at) =>
          put(`fill/${first + at}`, crypto.getRandomValues(new Uint8Array(valueBytes))),
        );
        await this.kv.txn(puts(ops));
      }
    };
    await Promise.all(Array.from({ length: FILLS_IN_FLIGHT }, worker));
  }
}

function put(key: string, value: Uint8Array): Op {
  return { op: "put", key: encoder.encode(key), value };
}

function puts(success: readonly Op[]): TxnRequest {
  return { compare: [], success, failure: [] };
}

function send(message: FromMember): void {
  process.send?.(message);
}

function told(message: string, fields?: object): void {
  if (message.startsWith("Installed a snapshot")) send({ event: "installed" });
  if (process.env.BENCH_LOG !== undefined) console.error(message, JSON.stringify(fields ?? {}));
}

async function main(): Promise<void> {
  const startedAt = performance.now();
  const given = JSON.parse(process.argv[2] ?? "{}") as MemberArguments;
  const storage = await openSqliteLog({
    path: join(given.dataDir, "raft.db"),
    clusterId: "bench",
    nodeId: given.self,
  });
  const member = new MeasuredMember(storage, given);
  await member.raft.start();
  const listener = new PeerListener({
    address: given.addresses[given.self - 1] as string,
    raft: (socket, head) => member.transport.accept(socket, head),
    calls: (socket) => socket.destroy(),
    log: SILENT_LOG,
  });
  await listener.listen();
  send({ event: "ready", startMs: performance.now() - startedAt });
  process.on("message", (order: ToMember) => {
    member.obey(order).then(
      (result) => send({ id: order.id, result }),
      (error: unknown) => send({ id: order.id, error: String(error) }),
    );
  });
  // The parent's end is this process's end.
  process.on("disconnect", () => process.exit(0));
}

await main();
