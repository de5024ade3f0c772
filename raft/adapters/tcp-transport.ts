/**
 * Transport over TCP: one outgoing connection to each peer, one incoming from each, one more for a snapshot on its way.
 *
 *     this node ──FLT1RAFT, hello──▶ peer        messages, snapshots
 *               ◀──welcome, acks────
 *
 * Idea. Sockets are made elsewhere: `dial` makes them, and the listener hands in those whose first eight bytes said that they
 * speak raft. So the one place that will know about certificates is not here.
 *
 * Invariants.
 * - Nothing of a peer reaches the handler before its greeting proved cluster, version and both ids; afterwards each message
 *   must name this pair of nodes.
 * - A lost peer is reported once, until a connection with it stands again, or it says something more on the other one: a process that
 *   dies loses both, and its last words may be read between the two ends.
 * - Memory is bounded for each peer: link queue, one frame, a snapshot's window.
 *
 * @module
 */
import type { Socket } from "node:net";
import { CodecError, decodeMessage, encodeMessage } from "../driver/codec.ts";
import type { Clock, RaftLog, Timer, Transport, TransportHandler } from "../driver/ports.ts";
import type { Message, NodeId, SnapshotMeta, Term } from "../types.ts";
import { Connection } from "./connection.ts";
import {
  decodeHello,
  encodeHello,
  encodePrefix,
  encodeReason,
  type Frame,
  frame,
  type Hello,
  PROTOCOL_VERSION,
  type Purpose,
  RAFT_MAGIC,
} from "./frames.ts";
import { AckTimer, PeerLink } from "./peer-link.ts";
import { receiveSnapshotOver, type SnapshotTaker, sendSnapshotOver } from "./snapshot-stream.ts";

/** A stranger holds a socket for so long at most before it said who it is. */
const HELLO_TIMEOUT_MS = 5000;
/** Refusals that are remembered as logged; a flood of strangers is logged no more than this often. */
const LOGGED_REFUSALS_MAX = 64;

export interface TcpTransportOptions {
  readonly self: NodeId;
  readonly clusterId: string;
  /** host:port of each other member. */
  readonly peers: ReadonlyMap<NodeId, string>;
  /** A connecting socket to that address. */
  readonly dial: (address: string) => Socket;
  readonly log: RaftLog;
  readonly clock: Clock;
}

interface Peer {
  readonly address: string;
  readonly link: PeerLink;
  incoming: Connection | null;
  incomingSnapshot: Connection | null;
  reportedLost: boolean;
}

export class TcpTransport implements Transport {
  readonly #options: TcpTransportOptions;
  readonly #peers = new Map<NodeId, Peer>();
  readonly #connections = new Set<Connection>();
  readonly #refusals = new Set<string>();
  #handler: TransportHandler | null = null;
  #stopped = false;

  constructor(options: TcpTransportOptions) {
    this.#options = options;
    for (const [id, address] of options.peers) {
      if (id === options.self) continue;
      const link = new PeerLink({
        clock: options.clock,
        dial: () => options.dial(address),
        greeting: this.#greeting(id, "messages"),
        connected: () => this.#found(id),
        lost: (reason) => this.#lost(id, reason),
        refused: (reason) => this.#logRefusal(`Greeting the peer ${address} failed: it refused this node`, reason),
      });
      this.#peers.set(id, { address, link, incoming: null, incomingSnapshot: null, reportedLost: false });
    }
  }

  async start(handler: TransportHandler): Promise<void> {
    if (this.#stopped) return;
    this.#handler = handler;
    for (const { link } of this.#peers.values()) link.connectNow();
  }

  send(messages: readonly Message[]): void {
    for (const message of messages) {
      const hasEntries = message.kind === "append" && message.entries.length > 0;
      this.#peers.get(message.to)?.link.send(encodeMessage(message), hasEntries ? "entries" : "word");
    }
  }

  async sendSnapshot(to: NodeId, meta: SnapshotMeta, term: Term, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const peer = this.#peers.get(to);
    if (peer === undefined || this.#stopped) throw new Error(`Send a snapshot to node ${to}: there is no such peer`);
    let connection: Connection | null = null;
    try {
      await sendSnapshotOver({
        clock: this.#options.clock,
        dial: () => this.#options.dial(peer.address),
        greeting: this.#greeting(to, "snapshot"),
        meta,
        term,
        chunks,
        opened: (opened) => {
          connection = opened;
          this.#connections.add(opened);
        },
      });
    } finally {
      if (connection !== null) this.#connections.delete(connection);
    }
  }

  /** Takes over an incoming connection whose first bytes were the magic; `head` is what was read beyond them. */
  accept(socket: Socket, head: Uint8Array): void {
    if (this.#handler === null || this.#stopped) {
      // Not ready: the peer tries again soon.
      socket.destroy();
      return;
    }
    const timeout = this.#options.clock.after(HELLO_TIMEOUT_MS, () => connection.close("it said no hello"));
    const closed = () => {
      timeout.cancel();
      this.#connections.delete(connection);
    };
    const frame = (received: Frame) => this.#greeted(connection, received, timeout);
    const connection = new Connection(socket, { frame, closed }, "stranger");
    this.#connections.add(connection);
    connection.feed(head);
  }

  /** For tests and diagnosis: connections beside the links, that is, incoming ones and snapshots. */
  get connectionCount(): number {
    return this.#connections.size;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#handler = null;
    for (const { link } of this.#peers.values()) link.stop();
    for (const connection of [...this.#connections]) connection.close("this node is stopping");
  }

  #greeting(to: NodeId, purpose: Purpose): Uint8Array {
    const { self, clusterId } = this.#options;
    const hello = encodeHello({ version: PROTOCOL_VERSION, purpose, from: self, to, clusterId });
    return Buffer.concat([Buffer.from(RAFT_MAGIC, "latin1"), frame("hello", hello)]);
  }

  #greeted(connection: Connection, { type, payload }: Frame, timeout: Timer): void {
    timeout.cancel();
    if (type !== "hello") throw new CodecError("it does not begin with a hello");
    const hello = decodeHello(payload);
    const refusal = this.#refusalOf(hello);
    const peer = this.#peers.get(hello.from);
    if (refusal !== null || peer === undefined) {
      this.#logRefusal(`Refused a connection from node ${hello.from}`, refusal ?? "");
      connection.close("refused", frame("refused", encodeReason(refusal ?? "")));
      return;
    }
    connection.greeted();
    if (hello.purpose === "snapshot") this.#receiveSnapshot(connection, hello.from, peer);
    else this.#listen(connection, hello.from, peer);
  }

  #receiveSnapshot(connection: Connection, from: NodeId, peer: Peer): void {
    // The sender gave the one before up, which may be news here: its end leaves a prefix to go on behind.
    peer.incomingSnapshot?.close("the peer began anew");
    peer.incomingSnapshot = connection;
    connection.write(frame("welcome", encodePrefix(this.#handler?.snapshotPrefix() ?? null)));
    const take: SnapshotTaker = async (incoming) => {
      if (this.#handler === null) throw new Error("Receive a snapshot: this node is stopping");
      await this.#handler.snapshot(from, incoming);
    };
    receiveSnapshotOver(connection, this.#options.clock, take, () => {
      this.#connections.delete(connection);
      if (peer.incomingSnapshot === connection) peer.incomingSnapshot = null;
    });
  }

  #refusalOf(hello: Hello): string | null {
    const { self, clusterId } = this.#options;
    if (hello.version !== PROTOCOL_VERSION) {
      return `it speaks version ${hello.version} of the protocol, this node version ${PROTOCOL_VERSION}: upgrade the older of the two`;
    }
    if (hello.clusterId !== clusterId) return `it belongs to cluster "${hello.clusterId}", this node to "${clusterId}"`;
    if (hello.to !== self) return `it looks for node ${hello.to}, this is node ${self}; check the addresses`;
    if (!this.#peers.has(hello.from)) return `node ${hello.from} is no member of this cluster`;
    return null;
  }

  #listen(connection: Connection, from: NodeId, peer: Peer): void {
    connection.write(frame("welcome"));
    const acks = new AckTimer(this.#options.clock, connection);
    const previous = peer.incoming;
    peer.incoming = connection;
    peer.reportedLost = false;
    previous?.close("the peer connected anew");
    connection.handler = {
      frame: (received) => {
        this.#message(from, received);
        peer.reportedLost = false;
        acks.due();
      },
      closed: (reason) => {
        acks.stop();
        this.#connections.delete(connection);
        if (peer.incoming !== connection) return;
        peer.incoming = null;
        this.#lost(from, reason);
      },
    };
    // It is there, so do not wait for the end of a pause.
    peer.link.connectNow();
  }

  #message(from: NodeId, { type, payload }: Frame): void {
    if (type !== "message") throw new CodecError(`unexpected frame "${type}"`);
    const message = decodeMessage(payload);
    if (message.from !== from || message.to !== this.#options.self) throw new CodecError("a message of somebody else");
    this.#handler?.message(message);
  }

  #found(id: NodeId): void {
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    peer.reportedLost = false;
    this.#options.log.debug("Connected to a peer", { node: id, address: peer.address });
  }

  #lost(id: NodeId, reason: string): void {
    const peer = this.#peers.get(id);
    if (peer === undefined || peer.reportedLost || this.#stopped) return;
    peer.reportedLost = true;
    this.#options.log.info("Lost the connection with a peer, or could not make one", {
      node: id,
      address: peer.address,
      reason,
    });
    this.#handler?.unreachable(id);
  }

  #logRefusal(message: string, reason: string): void {
    const key = `${message}: ${reason}`;
    if (this.#refusals.has(key) || this.#refusals.size >= LOGGED_REFUSALS_MAX) return;
    this.#refusals.add(key);
    this.#options.log.warning(message, { reason });
  }
}
