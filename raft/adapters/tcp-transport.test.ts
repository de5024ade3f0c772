/** The TCP transport on loopback sockets: what gets through, what is refused, and what a broken network leads to. */
import { afterEach, expect, test } from "bun:test";
import { connect, createServer, type Server, type Socket } from "node:net";
import { ManualClock } from "../../test/fakes/manual-clock.ts";
import type { Clock, SnapshotPrefix, TransportHandler } from "../driver/ports.ts";
import { SnapshotDigest } from "../driver/snapshot-digest.ts";
import type { Message, NodeId, SnapshotMeta } from "../types.ts";
import { FRAME_MAX_BYTES, FrameReader, frame, RAFT_MAGIC } from "./frames.ts";
import { TcpTransport } from "./tcp-transport.ts";

const REAL_CLOCK: Clock = {
  now: () => performance.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};
const SILENT = { debug() {}, info() {}, notice() {}, warning() {}, error() {} };
const membership = { voters: [1, 2], learners: [] };

/** A member: listener, transport, and what its handler heard. */
class Member {
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

let members: Member[] = [];
afterEach(async () => {
  for (const member of members) await member.end();
  members = [];
});

async function pair(options: { clock?: Clock } = {}): Promise<[Member, Member]> {
  const [one, two] = [new Member(1), new Member(2)];
  members.push(one, two);
  const peers = new Map([
    [1, await one.listen()],
    [2, await two.listen()],
  ]);
  await one.start(peers, options);
  await two.start(peers, options);
  return [one, two];
}

function heartbeat(from: NodeId, to: NodeId, commit: number): Message {
  return { kind: "heartbeat", from, to, term: 1, commit, readContext: 0 };
}

function append(from: NodeId, to: NodeId, size: number): Message {
  const entry = { index: 1, term: 1, kind: "normal", data: new Uint8Array(size).fill(7) } as const;
  return { kind: "append", from, to, term: 1, prevIndex: 0, prevTerm: 0, commit: 0, entries: [entry] };
}

/** Waits for the link, without which messages may be dropped, and for a message over it. */
async function connected(from: Member, to: Member): Promise<void> {
  await from.until(() => from.linked.has(to.id));
  const before = to.messages.length;
  from.transport?.send([heartbeat(from.id, to.id, 0)]);
  await to.until(() => to.messages.length > before);
}

/** What a stranger says, until he is cut off. All that the member's sockets were asked for before has had its turn by then. */
async function strange(member: Member, bytes: Uint8Array): Promise<void> {
  const address = member.server.address();
  const port = address !== null && typeof address === "object" ? address.port : 0;
  const socket = connect({ host: "127.0.0.1", port });
  socket.on("error", () => {});
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.write(Buffer.concat([Buffer.from(RAFT_MAGIC), bytes]));
  await closed;
}

const EMPTY_FRAME = Buffer.from([0, 0, 0, 0]);

test("messages arrive in order, both ways, small and large", async () => {
  const [one, two] = await pair();
  await connected(one, two);
  await connected(two, one);
  two.messages.length = 0;
  const sent: Message[] = [];
  for (let i = 1; i <= 500; i++) sent.push(heartbeat(1, 2, i));
  sent.push(append(1, 2, 3_000_000), heartbeat(1, 2, 501));
  one.transport?.send(sent);
  await two.until(() => two.messages.length === sent.length);
  expect(two.messages).toEqual(sent);
});

test("a heartbeat overtakes the entries that a slow peer has not read, and none of them is lost", async () => {
  const [one, two] = await pair();
  await connected(one, two);
  two.messages.length = 0;
  for (const socket of two.accepted) socket.pause();
  const appends = 15;
  for (let i = 0; i < appends; i++) one.transport?.send([append(1, 2, 1_000_000)]);
  // The sockets' own buffers are filled by now; what they have is not overtaken.
  await new Promise((resolve) => setImmediate(resolve));
  one.transport?.send([heartbeat(1, 2, 7)]);
  await new Promise((resolve) => setImmediate(resolve));
  for (const socket of two.accepted) socket.resume();
  await two.until(() => two.messages.length === appends + 1);
  const at = two.messages.findIndex(({ kind }) => kind === "heartbeat");
  expect(at).toBeLessThan(appends - 3);
});

test("everything that is sent in one turn leaves in one write", async () => {
  const [one, two] = await pair();
  await connected(one, two);
  const written: number[] = [];
  for (const socket of one.dialed) {
    const write = socket.write.bind(socket);
    socket.write = ((bytes: Uint8Array) => {
      written.push(bytes.length);
      return write(bytes);
    }) as typeof socket.write;
  }
  two.messages.length = 0;
  for (let i = 0; i < 50; i++) one.transport?.send([heartbeat(1, 2, i)]);
  await two.until(() => two.messages.length === 50);
  expect(written).toHaveLength(1);
});

test("a peer that goes away is reported once, and found again when it is back", async () => {
  const [one, two] = await pair();
  await connected(one, two);
  await connected(two, one);
  const address = two.server.address();
  const port = address !== null && typeof address === "object" ? address.port : 0;
  one.lost.length = 0;
  await two.end();
  await one.until(() => one.lost.length > 0);
  const again = new Member(2);
  members.push(again);
  const peers = new Map([
    [
      1,
      [...(one.server.address() === null ? [] : [`127.0.0.1:${(one.server.address() as { port: number }).port}`])][0] ??
        "",
    ],
    [2, await again.listen(port)],
  ]);
  await again.start(peers);
  await connected(one, again);
  await connected(again, one);
  expect(one.lost).toEqual([2]);
});

test("a peer whose last words are read between the ends of its two connections is reported with the second, too", async () => {
  const [one, two] = [new Member(1), new Member(2)];
  members.push(one, two);
  const peers = new Map([
    [1, await one.listen()],
    [2, await two.listen()],
  ]);
  await one.start(peers);
  // It does not dial again.
  await two.start(peers, { clock: new ManualClock() });
  await connected(one, two);
  await connected(two, one);
  two.lost.length = 0;
  two.messages.length = 0;
  for (const socket of two.dialed) socket.destroy();
  await two.until(() => two.lost.length === 1);
  one.transport?.send([heartbeat(1, 2, 7)]);
  await two.until(() => two.messages.length === 1);
  for (const socket of one.dialed) socket.destroy();
  await two.until(() => two.lost.length === 2);
  expect(two.lost).toEqual([1, 1]);
});

test.each([
  ["another cluster", { clusterId: "c2" }, 1, 'it belongs to cluster "c2", this node to "c1"'],
  ["a node that is no member", {}, 9, "node 9 is no member of this cluster"],
] as const)("%s is refused, with a reason on both sides, logged once", async (_name, options, id, reason) => {
  const two = new Member(2);
  const stranger = new Member(id);
  members.push(two, stranger);
  const address = await two.listen();
  await two.start(new Map([[1, "127.0.0.1:1"]]));
  await stranger.start(new Map([[2, address]]), options);
  await stranger.until(() => stranger.warnings.length > 0 && two.warnings.length > 0);
  expect(stranger.warnings[0]).toContain(reason);
  expect(two.warnings[0]).toContain(reason);
  stranger.transport?.send([heartbeat(id, 2, 1)]);
  await stranger.until(() => stranger.dialed.size >= 1);
  expect(two.messages).toEqual([]);
  expect(two.warnings).toHaveLength(1);
});

test.each([
  ["a length beyond every frame", Buffer.from([0xff, 0xff, 0xff, 0xff, 0])],
  ["a message before the greeting", Buffer.from([0, 0, 0, 2, 3, 0])],
  ["an unknown frame", Buffer.from([0, 0, 0, 2, 99, 0])],
  ["an empty frame", EMPTY_FRAME],
  ["a greeting of a megabyte", Buffer.from([0, 0x10, 0, 0, 0])],
  ["a torn greeting", Buffer.from([0, 0, 0, 3, 0, 1, 0])],
])("a stranger that sends %s is cut off, and nobody else notices", async (_name, bytes) => {
  const [one, two] = await pair();
  await connected(one, two);
  await strange(two, bytes);
  await connected(one, two);
  expect(two.lost).toEqual([]);
});

test("a peer that reads nothing does not make the queue grow without bound", async () => {
  const clock = new ManualClock();
  const [one, two] = await pair({ clock });
  await connected(one, two);
  for (const socket of two.accepted) socket.pause();
  for (let i = 0; i < 200; i++) {
    one.transport?.send([append(1, 2, 1_000_000)]);
    await Promise.resolve();
  }
  const queued = Math.max(...[...one.dialed].map((socket) => socket.writableLength));
  expect(queued).toBeLessThan(20 * 1024 * 1024);
  one.lost.length = 0;
  await clock.advance(3600);
  expect(one.lost).toEqual([2]);
});

test("a transport that is stopped is deaf and mute, and can be stopped again", async () => {
  const [one, two] = await pair();
  await connected(one, two);
  await two.transport?.stop();
  await two.transport?.stop();
  two.messages.length = 0;
  two.transport?.send([heartbeat(2, 1, 1)]);
  one.transport?.send([heartbeat(1, 2, 1)]);
  await one.until(() => one.lost.length > 0);
  expect(two.messages).toEqual([]);
});

const meta: SnapshotMeta = { index: 10, term: 3, membership };

async function* pieces(count: number, size: number, taken: { count: number }): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < count; i++) {
    taken.count += 1;
    yield new Uint8Array(size).fill(i);
  }
}

test("a snapshot arrives chunk by chunk, and the sender learns when it is on disk", async () => {
  const [one, two] = await pair();
  const sizes: number[] = [];
  let begun: unknown = null;
  two.onSnapshot = async (from, { meta: received, term, chunks }) => {
    begun = { from, received, term };
    for await (const chunk of chunks) sizes.push(chunk.length);
  };
  await one.transport?.sendSnapshot(2, meta, 4, pieces(40, 100_000, { count: 0 }));
  expect(begun).toEqual({ from: 1, received: meta, term: 4 });
  expect(sizes).toEqual(Array.from({ length: 40 }, () => 100_000));
});

test("a slow receiver slows the sender down, and messages pass it", async () => {
  const [one, two] = await pair();
  await connected(one, two);
  const taken = { count: 0 };
  const release = Promise.withResolvers<void>();
  two.onSnapshot = async (_from, { chunks }) => {
    await release.promise;
    for await (const _chunk of chunks);
  };
  const sent = one.transport?.sendSnapshot(2, meta, 4, pieces(50, 200_000, taken));
  await connected(one, two);
  expect(taken.count).toBeLessThanOrEqual(6);
  release.resolve();
  await sent;
  expect(taken.count).toBe(50);
});

test("a receiver that needs no snapshot says so before the end; one that fails says why", async () => {
  const [one, two] = await pair();
  const taken = { count: 0 };
  await one.transport?.sendSnapshot(2, meta, 4, pieces(1000, 1000, taken));
  expect(taken.count).toBeLessThan(1000);
  two.onSnapshot = async () => {
    throw new Error("the disk is full");
  };
  await expect(one.transport?.sendSnapshot(2, meta, 4, pieces(5, 10, taken))).rejects.toThrow("the disk is full");
});

test("a transfer whose peer dies, or is not there, ends with an error on both sides", async () => {
  const [one, two] = await pair();
  const heard = Promise.withResolvers<unknown>();
  two.onSnapshot = async (_from, { chunks }) => {
    try {
      for await (const _chunk of chunks) void one.transport?.stop();
    } catch (error) {
      heard.resolve(error);
      throw error;
    }
  };
  await expect(one.transport?.sendSnapshot(2, meta, 4, pieces(1000, 1000, { count: 0 }))).rejects.toThrow("broke");
  expect(String(await heard.promise)).toContain("the connection broke");
  const third = new Member(3);
  members.push(third);
  await third.start(new Map([[2, "127.0.0.1:1"]]));
  await expect(third.transport?.sendSnapshot(2, meta, 4, pieces(1, 1, { count: 0 }))).rejects.toThrow("broke");
});

/** The prefix that a receiver would have of pieces(). */
async function prefixOf(chunks: number, size: number): Promise<SnapshotPrefix> {
  const digest = new SnapshotDigest();
  for await (const piece of pieces(chunks, size, { count: 0 })) digest.add(piece);
  return { index: meta.index, term: meta.term, chunks, digest: digest.value() };
}

test("a snapshot goes on behind what the peer has of it, and ends with the digest of all", async () => {
  const [one, two] = await pair();
  two.prefix = await prefixOf(30, 1000);
  const seen: unknown[] = [];
  two.onSnapshot = async (_from, { skipped, chunks, digest }) => {
    for await (const chunk of chunks) seen.push(chunk[0]);
    seen.push(skipped, digest());
  };
  await one.transport?.sendSnapshot(2, meta, 4, pieces(33, 1000, { count: 0 }));
  expect(seen).toEqual([30, 31, 32, 30, (await prefixOf(33, 1000)).digest]);
});

test("a peer with the beginning of another snapshot gets all of this one, at once or with the next try", async () => {
  const [one, two] = await pair();
  const arrived: string[] = [];
  two.onSnapshot = async (_from, { skipped, chunks }) => {
    let count = 0;
    two.note(() => {
      two.prefix = null;
    });
    try {
      for await (const _chunk of chunks) count++;
    } finally {
      arrived.push(`${skipped}+${count}`);
    }
  };
  two.prefix = { ...(await prefixOf(3, 10)), index: 9 };
  await one.transport?.sendSnapshot(2, meta, 4, pieces(5, 10, { count: 0 }));
  // The same position in the log, other bytes.
  two.prefix = await prefixOf(3, 11);
  await expect(one.transport?.sendSnapshot(2, meta, 4, pieces(5, 10, { count: 0 }))).rejects.toThrow("another");
  await two.until(() => two.prefix === null);
  two.prefix = await prefixOf(7, 10);
  await expect(one.transport?.sendSnapshot(2, meta, 4, pieces(5, 10, { count: 0 }))).rejects.toThrow("another");
  await two.until(() => two.prefix === null);
  await one.transport?.sendSnapshot(2, meta, 4, pieces(5, 10, { count: 0 }));
  expect(arrived).toEqual(["0+5", "0+0", "0+0", "0+5"]);
});

test("a transfer that is begun anew ends the one before it", async () => {
  const [one, two] = await pair();
  const ends: string[] = [];
  let begun = 0;
  two.onSnapshot = async (_from, { chunks }) => {
    try {
      for await (const _chunk of chunks) two.note(() => begun++);
      ends.push("whole");
    } catch (error) {
      two.note(() => ends.push(String(error)));
    }
  };
  const stuck = one.transport?.sendSnapshot(2, meta, 4, neverEnding());
  stuck?.catch(() => {});
  await two.until(() => begun === 1);
  await one.transport?.sendSnapshot(2, meta, 4, pieces(5, 10, { count: 0 }));
  expect(ends).toEqual([expect.stringContaining("began anew"), "whole"]);
});

async function* neverEnding(): AsyncGenerator<Uint8Array> {
  yield new Uint8Array(10);
  await new Promise(() => {});
}

test("the largest message of the driver's limits fits a frame", () => {
  expect(FRAME_MAX_BYTES).toBeGreaterThan(2 * (1024 * 1024 + 2 * 1024 * 1024));
});

test("connections that carried a snapshot are forgotten with their end", async () => {
  const [one, two] = await pair();
  await connected(one, two);
  await connected(two, one);
  const before = two.transport?.connectionCount;
  for (let i = 0; i < 10; i++) {
    await one.transport?.sendSnapshot(2, meta, 4, pieces(3, 10, { count: 0 }));
  }
  await connected(one, two);
  expect(two.transport?.connectionCount).toBe(before);
});

test("two that claim the same identity take turns slowly, instead of in a storm", async () => {
  const clock = new ManualClock();
  const two = new Member(2);
  const [one, double] = [new Member(1), new Member(1)];
  members.push(two, one, double);
  const peers = new Map([
    [1, await one.listen()],
    [2, await two.listen()],
  ]);
  await two.start(peers, { clock });
  await one.start(peers, { clock });
  await double.start(peers, { clock });
  // In steps, with a turn for the sockets in between: ten seconds of this cluster's life.
  const steps = 200;
  for (let step = 0; step < steps; step++) {
    await clock.advance(50);
    await strange(two, EMPTY_FRAME);
  }
  const turns = two.accepted.size - steps;
  expect(turns).toBeGreaterThan(5);
  expect(turns).toBeLessThan(40);
});

test("a frame that comes byte by byte is held in few pieces", () => {
  const reader = new FrameReader();
  const bytes = frame("message", new Uint8Array(200_000).fill(9));
  for (const byte of bytes.subarray(0, -1)) reader.push(new Uint8Array([byte]));
  expect(reader.pieceCount).toBeLessThan(200);
  expect(reader.next()).toBeNull();
  reader.push(bytes.subarray(-1));
  expect(reader.next()?.payload).toEqual(new Uint8Array(200_000).fill(9));
});
