/**
 * A cluster of ReplicaKvs in memory: production's raft nodes and Kvs on a clock, disks, network and calls of the test.
 *
 * Idea. The clock runs by itself (running-clock.ts), so that a test awaits a call as it would against a real cluster. Links
 * between members can be cut, for raft and for calls alike.
 *
 * @module
 */
import { type NodeId, RaftNode } from "#raft";
import { CallError, type CallHandler, type CallOptions, type Calls } from "../../src/lib/calls.ts";
import { type Log, SILENT_LOG } from "../../src/lib/log.ts";
import { decodeText, encodeText } from "../../src/lib/text.ts";
import { pause, within } from "../../src/lib/wait.ts";
import { type ReplicaConfig, ReplicaKv, replicaHandlers, StoreMachine } from "../../src/replica/index.ts";
import { LEADER_METHOD } from "../../src/replica/leader-route.ts";
import type { CallOptions as KvCallOptions, TxnRequest, TxnResponse } from "../../src/store/kv.ts";
import { MemoryDisk } from "./memory-disk.ts";
import { RaftNetwork } from "./raft-network.ts";
import { RunningClock } from "./running-clock.ts";

export interface Member {
  readonly id: NodeId;
  readonly raft: RaftNode;
  readonly machine: StoreMachine;
  readonly kv: ReplicaKv;
  readonly handlers: ReadonlyMap<string, CallHandler>;
}

export interface KvClusterOptions {
  readonly size?: number;
  readonly config?: Partial<ReplicaConfig>;
  /** Entries between snapshots. */
  readonly snapshotLogEntries?: number;
  readonly log?: (id: NodeId) => Log;
}

const HOP_MS = 1;

export class KvCluster {
  readonly clock = new RunningClock();
  readonly members = new Map<NodeId, Member>();
  readonly #options: KvClusterOptions;
  readonly #disks = new Map<NodeId, MemoryDisk>();
  /** How long a write to this member's disk takes; none: no time. */
  readonly diskMs = new Map<NodeId, number>();
  readonly #cut = new Set<string>();
  readonly #network: RaftNetwork;
  readonly #addresses: ReadonlyMap<NodeId, string>;
  #seed = 7;
  /** What would have ended a member's process. */
  readonly hopeless: Error[] = [];
  /** How many messages raft has sent. */
  messages = 0;
  /** Sees each call to the leader on its way; may throw to fail it, before or after it was answered. */
  onCall: (stage: "request" | "reply", from: NodeId, to: NodeId) => void = () => {};
  /** May put other bytes in an answer's place. */
  onReply: (reply: Uint8Array) => Uint8Array = (reply) => reply;

  constructor(options: KvClusterOptions = {}) {
    this.#options = options;
    const ids = Array.from({ length: options.size ?? 3 }, (_, i) => i + 1);
    this.#addresses = new Map(ids.map((id) => [id, `host${id}:2380`]));
    const plan = (from: NodeId, to: NodeId) => (this.#connected(from, to) ? [HOP_MS] : []);
    this.#network = new RaftNetwork({ clock: this.clock, plan, onSend: () => void this.messages++ });
    for (const id of ids) this.#disks.set(id, new MemoryDisk({ delay: () => this.#onDisk(id) }));
  }

  /** Starts all members and the clock; resolves once one of them leads. */
  async start(): Promise<void> {
    await Promise.all([...this.#disks.keys()].map((id) => this.boot(id)));
    this.clock.start();
    await this.until(() => this.leader() !== undefined);
  }

  async boot(id: NodeId): Promise<Member> {
    const { clock } = this;
    const machine = new StoreMachine();
    const raft = new RaftNode(
      {
        id,
        membership: { voters: [...this.#disks.keys()], learners: [] },
        ...(this.#options.snapshotLogEntries === undefined
          ? {}
          : { snapshotLogEntries: this.#options.snapshotLogEntries, trailingEntries: 0 }),
      },
      {
        clock,
        machine,
        random: () => this.#random(),
        storage: (this.#disks.get(id) ?? new MemoryDisk()).open(),
        transport: this.#network.transport(id),
        log: SILENT_LOG,
        onFatal: (error) => {
          throw error;
        },
      },
    );
    const { config = {} } = this.#options;
    const calls = this.#calls(id);
    const kv = new ReplicaKv({
      raft,
      machine,
      calls,
      members: this.#addresses,
      clock,
      log: this.#options.log?.(id) ?? SILENT_LOG,
      config,
      onHopeless: (error) => void this.hopeless.push(error),
    });
    const member = { id, raft, machine, kv, handlers: replicaHandlers(kv) };
    this.members.set(id, member);
    await raft.start();
    return member;
  }

  async halt(id: NodeId): Promise<void> {
    const { kv, raft } = this.member(id);
    this.members.delete(id);
    kv.close();
    this.#network.kill(id);
    await raft.stop();
  }

  async stop(): Promise<void> {
    for (const id of [...this.members.keys()]) await this.halt(id);
    await this.clock.stop();
  }

  member(id: NodeId): Member {
    const member = this.members.get(id);
    if (member === undefined) throw new Error(`Member ${id} is not running`);
    return member;
  }

  /** The one that leads with a majority that follows. */
  leader(): Member | undefined {
    const all = [...this.members.values()];
    return all.find(
      ({ id, raft }) => raft.role === "leader" && all.filter((m) => m.raft.leader === id).length > this.#disks.size / 2,
    );
  }
  theLeader(): Member {
    const leader = this.leader();
    if (leader === undefined) throw new Error("Nobody leads");
    return leader;
  }
  follower(): Member {
    const leader = this.theLeader();
    const follower = [...this.members.values()].find((member) => member !== leader);
    if (follower === undefined) throw new Error("Nobody follows");
    return follower;
  }

  /** No byte passes between this member and the others, and nobody is told. */
  isolate(id: NodeId): void {
    for (const other of this.#disks.keys()) this.#cut.add(linkOf(id, other));
  }
  heal(): void {
    this.#cut.clear();
  }

  /** Lets virtual time pass. */
  async advance(ms: number): Promise<void> {
    const until = this.clock.now() + ms;
    await this.until(() => this.clock.now() >= until);
  }

  async until(condition: () => boolean): Promise<void> {
    const deadlineMs = this.clock.now() + 60_000;
    while (!condition()) {
      if (this.clock.now() > deadlineMs) throw new Error("Waiting in the cluster took more than a minute of its time");
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  /** Time as this cluster measures it. */
  async timed(call: Promise<unknown>): Promise<number> {
    const start = this.clock.now();
    await call.catch(() => undefined);
    return this.clock.now() - start;
  }

  async #onDisk(id: NodeId): Promise<void> {
    const delayMs = this.diskMs.get(id) ?? 0;
    if (delayMs > 0) await pause(this.clock, delayMs);
  }

  #connected(from: NodeId, to: NodeId): boolean {
    return !this.#cut.has(linkOf(from, to));
  }

  #calls(from: NodeId): Calls {
    const idOf = (address: string) => [...this.#addresses].find(([, own]) => own === address)?.[0] ?? 0;
    return {
      call: (address, method, body, options) => this.#call(from, idOf(address), method, body, options ?? {}),
      stream: (address, method, body) => this.#stream(from, idOf(address), method, body),
    };
  }

  /** A hop a chunk; what is cut breaks at the next one. */
  async *#stream(from: NodeId, to: NodeId, method: string, body: Uint8Array): AsyncGenerator<Uint8Array> {
    const hop = async () => {
      await pause(this.clock, HOP_MS);
      if (!this.#connected(from, to)) throw new CallError("lost", `The connection to host ${to} broke`);
    };
    await hop();
    const handler = this.members.get(to)?.handlers.get(method);
    if (handler?.kind !== "stream") throw new CallError("not-sent", `Host ${to} refused the connection`);
    try {
      for await (const chunk of handler.handle(body, { signal: new AbortController().signal })) {
        yield chunk;
        await hop();
      }
    } catch (error) {
      if (error instanceof CallError) throw error;
      throw new CallError("refused", String(error), "refused");
    }
  }

  /** One hop there, one back; a cut swallows either silently. */
  async #call(
    from: NodeId,
    to: NodeId,
    method: string,
    body: Uint8Array,
    { signal, timeoutMs = 5_000 }: CallOptions,
  ): Promise<Uint8Array> {
    const hop = () =>
      new Promise<void>((resolve) => {
        if (this.#connected(from, to)) this.clock.after(HOP_MS, resolve);
      });
    const gone = new AbortController();
    const exchange = async (): Promise<Uint8Array> => {
      const isForLeader = method === LEADER_METHOD;
      if (isForLeader) this.onCall("request", from, to);
      await hop();
      const member = this.members.get(to);
      const handler = member?.handlers.get(method);
      if (handler?.kind !== "unary") throw new CallError("not-sent", `Host ${to} refused the connection`);
      const reply = await handler.handle(body, { signal: gone.signal });
      if (isForLeader) this.onCall("reply", from, to);
      await hop();
      return isForLeader ? this.onReply(reply) : reply;
    };
    try {
      const error = () => new CallError("lost", `No answer from host ${to} in time`);
      return await within(this.clock, exchange(), { timeoutMs, signal, error });
    } finally {
      gone.abort();
    }
  }

  #random(): number {
    this.#seed = (this.#seed * 48_271) % 2_147_483_647;
    return this.#seed / 2_147_483_647;
  }
}

function linkOf(a: NodeId, b: NodeId): string {
  return a < b ? `${a}-${b}` : `${b}-${a}`;
}

/** What writes one key. */
export function putOf(key: string, value: string): TxnRequest {
  return { compare: [], success: [{ op: "put", key: encodeText(key), value: encodeText(value) }], failure: [] };
}

export async function put(member: Member, key: string, value: string, options?: KvCallOptions): Promise<TxnResponse> {
  return member.kv.txn(putOf(key, value), options);
}

export async function get(member: Member, key: string, serializable = false): Promise<string | undefined> {
  const kv = (await member.kv.range({ key: encodeText(key) }, { serializable })).kvs[0];
  return kv && decodeText(kv.value);
}
