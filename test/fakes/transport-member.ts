/**
 * TcpTransports on loopback sockets, and what each of them heard.
 *
 * Idea. A member's listener, transport and handler in one, which a test can wait on: until(condition) looks again at whatever is heard.
 *
 * @module
 */
import { afterEach, expect } from "bun:test";
import { connect, createServer, type Server, type Socket } from "node:net";
import { RAFT_MAGIC } from "../../raft/adapters/frames.ts";
import { TcpTransport } from "../../raft/adapters/tcp-transport.ts";
import type { Clock, SnapshotPrefix, TransportHandler } from "../../raft/driver/ports.ts";
import type { Message, NodeId } from "../../raft/types.ts";

const REAL_CLOCK: Clock = {
  now: () => performance.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};
const SILENT = { debug() {}, info() {}, notice() {}, warning() {}, error() {} };

/** A member: listener, transport, and what its handler heard. */
export class Member {
  readonly id: NodeId;
  readonly server: Server;
  readonly accepted = new Set<Socket>();
  readonly dialed = new Set<Socket>();
  readonly messages: Message[] = [];
  readonly lost: NodeId[] = [];
  /** Peers that a connection from here stands to. */
  readonly linked = new Set<NodeId>();
  readonly warnings: string[] = [];
  prefix: SnapshotPrefix | null = null;
  onSnapshot: TransportHandler["snapshot"] = async () => {};
  transport: TcpTransport | null = null;
  #waiters: (() => void)[] = [];

  constructor(id: NodeId) {
    this.id = id;
    this.server = createServer((socket) => {
      this.accepted.add(socket);
      socket.on("error", () => {});
      let head = Buffer.alloc(0);
      const read = (chunk: Buffer) => {
        head = Buffer.concat([head, chunk]);
        if (head.length < 8) return;
        socket.off("data", read);
        expect(head.subarray(0, 8).toString()).toBe(RAFT_MAGIC);
        this.transport?.accept(socket, head.subarray(8));
      };
      socket.on("data", read);
    });
  }

  listen(port = 0): Promise<string> {
    return new Promise((resolve) =>
      this.server.listen(port, "127.0.0.1", () => {
        const address = this.server.address();
        resolve(`127.0.0.1:${address !== null && typeof address === "object" ? address.port : 0}`);
      }),
    );
  }

  async start(peers: ReadonlyMap<NodeId, string>, options: { clusterId?: string; clock?: Clock } = {}): Promise<void> {
    this.transport = new TcpTransport({
      self: this.id,
      clusterId: options.clusterId ?? "c1",
      peers,
      dial: (address) => {
        const [host, port] = address.split(":");
        const socket = connect({ host: host ?? "", port: Number(port) });
        this.dialed.add(socket);
        return socket;
      },
      log: {
        ...SILENT,
        debug: (_message, fields) => this.note(() => this.linked.add(fields?.node as NodeId)),
        info: (_message, fields) => this.note(() => this.linked.delete(fields?.node as NodeId)),
        warning: (message, fields) => this.note(() => this.warnings.push(`${message}: ${fields?.reason}`)),
      },
      clock: options.clock ?? REAL_CLOCK,
    });
    await this.transport.start({
      message: (message) => this.note(() => this.messages.push(message)),
      snapshotPrefix: () => this.prefix,
      snapshot: (from, incoming) => this.onSnapshot(from, incoming),
      unreachable: (peer) => this.note(() => this.lost.push(peer)),
    });
  }

  note(act: () => void): void {
    act();
    for (const waiter of this.#waiters.splice(0)) waiter();
  }

  /** Resolves when something was heard that makes it true; the test's own deadline ends it otherwise. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  async end(): Promise<void> {
    await this.transport?.stop();
    for (const socket of this.accepted) socket.destroy();
    this.server.close();
  }
}

/** Members that end with their test. */
export class Members {
  readonly #made: Member[] = [];

  /** To be called at the top of a test file. */
  constructor() {
    afterEach(async () => {
      for (const member of this.#made.splice(0)) await member.end();
    });
  }

  make(id: NodeId): Member {
    const member = new Member(id);
    this.#made.push(member);
    return member;
  }

  /** Members 1 and 2, which know each other. */
  async pair(options: { clock?: Clock } = {}): Promise<[Member, Member]> {
    const [one, two] = [this.make(1), this.make(2)];
    const peers = new Map([
      [1, await one.listen()],
      [2, await two.listen()],
    ]);
    await one.start(peers, options);
    await two.start(peers, options);
    return [one, two];
  }
}

export function heartbeat(from: NodeId, to: NodeId, commit: number): Message {
  return { kind: "heartbeat", from, to, term: 1, commit, readContext: 0 };
}

export function append(from: NodeId, to: NodeId, size: number): Message {
  const entry = { index: 1, term: 1, kind: "normal", data: new Uint8Array(size).fill(7) } as const;
  return { kind: "append", from, to, term: 1, prevIndex: 0, prevTerm: 0, commit: 0, entries: [entry] };
}

/** Waits for the link, without which messages may be dropped, and for a message over it. */
export async function connected(from: Member, to: Member): Promise<void> {
  await from.until(() => from.linked.has(to.id));
  const before = to.messages.length;
  from.transport?.send([heartbeat(from.id, to.id, 0)]);
  await to.until(() => to.messages.length > before);
}
