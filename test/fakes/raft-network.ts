/**
 * A network between raft nodes in memory: production's Transport port, with whatever faults the test draws.
 *
 * Idea. `plan` answers for each message with the delays of its copies: none is a loss, two a duplicate, and different delays
 * reorder. Every message goes through the real codec, so that nothing crosses that could not cross a wire.
 *
 * Invariants.
 * - A transport that was replaced (its node restarted) or stopped neither sends nor hears anything any more.
 *
 * @module
 */
import type { Clock, IncomingSnapshot, Message, NodeId, SnapshotMeta, Transport, TransportHandler } from "#raft";
import { decodeMessage, encodeMessage } from "../../raft/driver/codec.ts";
import { SnapshotDigest, skipPrefix } from "../../raft/driver/snapshot-digest.ts";

export interface RaftNetworkOptions {
  readonly clock: Clock;
  /** Delays in ms of each copy that arrives, of a message or a snapshot's chunk. Left out: one copy after 1 ms. */
  readonly plan?: (from: NodeId, to: NodeId, message?: Message) => readonly number[];
  /** Sees every message as it leaves; for checkers and traces. */
  readonly onSend?: (message: Message, bytes: Uint8Array) => void;
  /** Hands something to a member; a simulator holds it back while the member is paused. Left out: at once. */
  readonly deliver?: (to: NodeId, run: () => void) => void;
}

/** A snapshot's sender gives up when a chunk did not come through for so long. */
const SNAPSHOT_PATIENCE_MS = 3000;

export class RaftNetwork {
  readonly #options: RaftNetworkOptions;
  readonly #members = new Map<NodeId, MemoryTransport>();

  constructor(options: RaftNetworkOptions) {
    this.#options = options;
  }

  /** The transport for a new life of this node; the one before it is dead. */
  transport(id: NodeId): Transport {
    this.kill(id);
    const transport = new MemoryTransport(id, this);
    this.#members.set(id, transport);
    return transport;
  }

  /** The process is gone, without a word. */
  kill(id: NodeId): void {
    this.#members.get(id)?.die();
    this.#members.delete(id);
  }

  /** What the kernel of a living host does for a dead process: it resets the connections, and the others notice. */
  reset(id: NodeId, delayMs: number): void {
    for (const [other, transport] of this.#members) {
      if (other === id) continue;
      this.#options.clock.after(delayMs, () => this.#deliver(other, () => transport.handler?.unreachable(id)));
    }
  }

  carry(message: Message): void {
    const bytes = encodeMessage(message);
    this.#options.onSend?.(message, bytes);
    const { to } = message;
    for (const delayMs of this.#plan(message.from, to, message)) {
      this.#options.clock.after(delayMs, () => {
        // Whoever is there when it arrives gets it: a restarted node hears what was sent to the life before.
        this.#deliver(to, () => this.#members.get(to)?.handler?.message(decodeMessage(bytes)));
      });
    }
  }

  async carrySnapshot(
    from: MemoryTransport,
    to: NodeId,
    meta: SnapshotMeta,
    term: number,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    const receiver = this.#members.get(to);
    if (receiver?.handler == null) throw new Error(`Send a snapshot to ${to}: it is not there`);
    // A process that died answers nothing; its kernel, or the sender's patience, ends the connection.
    const digest = new SnapshotDigest();
    const rest = chunks[Symbol.asyncIterator]();
    const outcome = await skipPrefix(meta, rest, receiver.handler.snapshotPrefix(), digest);
    const incoming: IncomingSnapshot = {
      meta,
      term,
      skipped: outcome === "skipped" ? digest.chunks : 0,
      chunks: outcome === "differs" ? broken() : this.#slowly(from, receiver, rest, digest),
      digest: () => digest.value(),
    };
    const taken = receiver.handler.snapshot(from.id, incoming);
    await Promise.race([taken, receiver.death]);
    if (receiver.dead) throw new Error(`Send a snapshot to ${to}: the connection broke`);
  }

  async *#slowly(
    from: MemoryTransport,
    to: MemoryTransport,
    rest: AsyncIterator<Uint8Array>,
    digest: SnapshotDigest,
  ): AsyncGenerator<Uint8Array> {
    for (;;) {
      const { done, value: chunk } = await rest.next();
      if (done) return;
      digest.add(chunk);
      const delayMs = this.#plan(from.id, to.id)[0];
      await new Promise<void>((resolve) => {
        this.#options.clock.after(delayMs ?? SNAPSHOT_PATIENCE_MS, resolve);
      });
      if (delayMs === undefined) throw new Error("Send a snapshot: the connection stalled");
      if (from.dead || to.dead) throw new Error("Send a snapshot: the connection broke");
      yield chunk.slice();
    }
  }

  #deliver(to: NodeId, run: () => void): void {
    if (this.#options.deliver === undefined) run();
    else this.#options.deliver(to, run);
  }

  #plan(from: NodeId, to: NodeId, message?: Message): readonly number[] {
    return this.#options.plan?.(from, to, message) ?? [1];
  }
}

/** What the sender read to compare is gone: it begins anew with its next try. */
function broken(): AsyncIterable<Uint8Array> {
  const next = () => Promise.reject(new Error("Send a snapshot: the peer has the beginning of another one"));
  return { [Symbol.asyncIterator]: () => ({ next }) };
}

class MemoryTransport implements Transport {
  readonly id: NodeId;
  readonly #network: RaftNetwork;
  handler: TransportHandler | null = null;
  dead = false;
  readonly death: Promise<void>;
  #died: () => void = () => {};

  constructor(id: NodeId, network: RaftNetwork) {
    this.id = id;
    this.#network = network;
    this.death = new Promise((resolve) => {
      this.#died = resolve;
    });
  }

  async start(handler: TransportHandler): Promise<void> {
    if (!this.dead) this.handler = handler;
  }

  send(messages: readonly Message[]): void {
    if (this.handler === null) return;
    for (const message of messages) this.#network.carry(message);
  }

  sendSnapshot(to: NodeId, meta: SnapshotMeta, term: number, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    return this.#network.carrySnapshot(this, to, meta, term, chunks);
  }

  async stop(): Promise<void> {
    this.die();
  }

  die(): void {
    this.dead = true;
    this.handler = null;
    this.#died();
  }
}
