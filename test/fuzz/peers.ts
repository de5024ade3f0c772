/**
 * The peer port and what is dialed from it, under hostile peers: both protocols on real sockets, wired as the daemon wires them.
 *
 * Idea. The stranger says its bytes, stops talking and reads to the end: the end is an event. What the daemon writes to its log
 * goes through the real log.
 *
 * Checked of each: the daemon ends the connection; its log has few, short, single lines of it; nothing reaches a handler that its
 * guard should have kept out; a peer in good standing is answered on the connection that it had before.
 *
 * @module
 */
import { createServer, type Server, Socket } from "node:net";
import fc from "fast-check";
import { TcpTransport } from "#raft/adapters";
import type { Message } from "../../raft/types.ts";
import { machineHandlers } from "../../src/daemon/machine-calls.ts";
import { CallError, type CallHandler } from "../../src/lib/calls.ts";
import { SILENT_LOG } from "../../src/lib/log.ts";
import { encodeText } from "../../src/lib/text.ts";
import { CallsClient } from "../../src/platform/calls-client.ts";
import { CallsServer } from "../../src/platform/calls-server.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createJournalLog } from "../../src/platform/journal-log.ts";
import { dialPeer, PeerListener } from "../../src/platform/peer-listener.ts";
import { replicaHandlers } from "../../src/replica/index.ts";
import { judge } from "../../src/replica/verdict.ts";
import { ManualClock } from "../fakes/manual-clock.ts";
import { CLUSTER, PEERS, peerBytes, SELF } from "./peer-words.ts";
import { inTime } from "./raw-http.ts";

export interface Stranger {
  readonly bytes: Buffer;
  readonly cuts: readonly number[];
  readonly leaves: boolean;
}
export const stranger: fc.Arbitrary<Stranger> = fc.record({
  bytes: peerBytes,
  cuts: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 3 }),
  leaves: fc.constantFrom(false, false, false, true),
});

/** A line of the journal, and what one connection may cost of them. */
const LINE_MAX_CHARACTERS = 1_200;
const LINES_MAX = 3;
const MESSAGE_MAX_CHARACTERS = 1_200;

export class PeersUnderFire {
  readonly #lines: string[] = [];
  readonly #problems: string[] = [];
  readonly #listener: PeerListener;
  readonly #transport: TcpTransport;
  readonly #friend: CallsClient;
  readonly #address: string;

  private constructor(address: string) {
    this.#address = address;
    const log = createJournalLog(
      { level: "info", format: "text" },
      { clock: systemClock, write: (line) => void this.#lines.push(line) },
    );
    this.#transport = new TcpTransport({
      self: SELF,
      clusterId: CLUSTER,
      peers: new Map(PEERS.map((id) => [id, `peer${id}:1`])),
      dial: () => new Socket(),
      clock: new ManualClock(),
      log,
    });
    const calls = new CallsServer({ clusterId: CLUSTER, handlers: this.#handlers(), log });
    this.#listener = new PeerListener({
      address,
      raft: (socket, head) => this.#transport.accept(socket, head),
      calls: (socket, head) => calls.accept(socket, head),
      log,
    });
    this.#friend = new CallsClient({ clusterId: CLUSTER, dial: dialPeer });
  }

  static async open(): Promise<PeersUnderFire> {
    const own = new PeersUnderFire(`127.0.0.1:${await freePort()}`);
    await own.#transport.start({
      message: (message) => own.#heard(message),
      snapshotPrefix: () => null,
      snapshot: async (from, { chunks }) => {
        if (!PEERS.some((id) => id === from)) own.#problems.push(`A snapshot of node ${from}`);
        for await (const chunk of chunks) if (chunk[0] === 0) throw new Error("Not this snapshot");
      },
      unreachable() {},
    });
    await own.#listener.listen();
    return own;
  }

  async close(): Promise<void> {
    this.#friend.close();
    await this.#transport.stop();
    await inTime(this.#listener.close(), "The peer port does not close");
  }

  async check({ bytes, cuts, leaves }: Stranger): Promise<void> {
    this.#lines.length = 0;
    await inTime(talk(this.#address, pieces(bytes, cuts), leaves), "The connection does not end");
    const answer = await inTime(
      this.#friend.call(this.#address, "echo", encodeText("well?")),
      "A peer is not answered",
    );
    if (Buffer.from(answer).toString() !== "well?") throw new Error("A peer got somebody else's answer");
    const long = this.#lines.find((line) => line.length > LINE_MAX_CHARACTERS || /[\0-\x1f]/.test(line.slice(0, -1)));
    if (long !== undefined) throw new Error(`A line of ${long.length} characters in the log: ${long.slice(0, 300)}`);
    if (this.#lines.length > LINES_MAX)
      throw new Error(`${this.#lines.length} lines in the log: ${this.#lines.join("")}`);
    const fault = this.#lines.find((line) => line.startsWith("error:"));
    if (fault !== undefined) throw new Error(`A fault in the log: ${fault}`);
    if (this.#problems.length > 0) throw new Error(this.#problems.splice(0).join("; "));
  }

  #heard(message: Message): void {
    const isOfPeer = PEERS.some((id) => id === message.from) && message.to === SELF;
    if (!isOfPeer) this.#problems.push(`A message from ${message.from} to ${message.to} came through`);
  }

  #handlers(): ReadonlyMap<string, CallHandler> {
    const inspect = (query: object): AsyncIterable<Uint8Array> => {
      if (!isHarmless(query)) this.#problems.push(`systemd's tools would be given ${JSON.stringify(query)}`);
      return few();
    };
    const throws: CallHandler = {
      kind: "unary",
      handle: () => {
        throw new Error("x".repeat(10_000));
      },
    };
    return new Map<string, CallHandler>([
      ...machineHandlers({
        status: inspect,
        journal: inspect,
        properties: inspect,
        dependencies: inspect,
        usage: inspect,
      }),
      ...replicaHandlers({
        serve: async () => ({ kind: "elsewhere", leader: 0, reason: "" }),
        reading: async () => ({ kind: "unknown" }),
        heed: ({ readings }) => void judge(readings, PEERS.length + 1),
        state: few,
      }),
      ["echo", { kind: "unary", handle: async (body) => body }],
      ["flood", { kind: "stream", handle: () => many() }],
      ["throws", throws],
    ]);
  }
}

/** Names of units are names of units; all else is a word that no tool takes for an option, or a number. */
function isHarmless(query: object): boolean {
  return Object.entries(query).every(([field, content]) => {
    const contents: readonly unknown[] = Array.isArray(content) ? content : [content];
    return contents.every((part) => {
      if (typeof part === "number") return part >= 0 && part <= 1_000_000;
      if (typeof part !== "string") return typeof part === "boolean" || part === null;
      if (field === "unit" || field === "units")
        return /^(?!@)[A-Za-z0-9:_.\\@-]+\.[a-z]+$/.test(part) && part.length <= 256;
      return /^[A-Za-z][A-Za-z0-9-]*$/.test(part);
    });
  });
}

async function* few(): AsyncGenerator<Uint8Array> {
  yield encodeText("active");
}
async function* many(): AsyncGenerator<Uint8Array> {
  for (let count = 0; count < 40; count++) yield new Uint8Array(64 * 1024);
}

function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const ends = [...cuts.map((share) => Math.floor(share * bytes.length)), bytes.length].sort(
    (one, other) => one - other,
  );
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end)).filter(({ length }) => length > 0);
}

function talk(address: string, parts: readonly Buffer[], leaves: boolean): Promise<void> {
  return new Promise((resolve) => {
    const socket = dialPeer(address);
    socket.on("error", () => undefined);
    socket.on("data", () => undefined);
    socket.on("close", () => resolve());
    socket.once("connect", async () => {
      for (const part of parts) {
        if (!socket.writable) break;
        socket.write(part);
        await new Promise((next) => setImmediate(next));
      }
      if (leaves) socket.destroy();
      else if (socket.writable) socket.end();
    });
  });
}

/** A listener of strangers, where a peer's was expected. */
export class HostileListener {
  readonly #server: Server;
  readonly #address: string;
  #answer: Buffer = Buffer.alloc(0);

  private constructor(server: Server, address: string) {
    this.#server = server;
    this.#address = address;
  }

  static async open(): Promise<HostileListener> {
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      // Only then it has been asked something.
      socket.once("data", () => socket.end(own.#answer));
    });
    const address = await listenAnywhere(server);
    const own = new HostileListener(server, address);
    return own;
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  async check(answer: Buffer): Promise<void> {
    this.#answer = answer;
    const calls = new CallsClient({ clusterId: CLUSTER, dial: dialPeer });
    const unary = calls.call(this.#address, "echo", encodeText("well?")).then(() => null, told);
    const stream = drain(calls.stream(this.#address, "flood", encodeText(""))).then(() => null, told);
    const lines: string[] = [];
    const lost = Promise.withResolvers<void>();
    const note = (_: string, fields: object = {}) => void lines.push(JSON.stringify(fields));
    const raft = new TcpTransport({
      self: SELF,
      clusterId: CLUSTER,
      peers: new Map([[2, this.#address]]),
      dial: dialPeer,
      clock: new ManualClock(),
      log: { ...SILENT_LOG, info: note, warning: note, error: note },
    });
    await raft.start({
      message() {},
      snapshotPrefix: () => null,
      snapshot: async () => {},
      unreachable: () => lost.resolve(),
    });
    const [one, other] = await inTime(
      Promise.all([unary, stream, lost.promise]),
      "A call, or raft's link, does not end",
    );
    calls.close();
    await raft.stop();
    for (const message of [one ?? "", other ?? "", ...lines]) {
      if (message.length > MESSAGE_MAX_CHARACTERS)
        throw new Error(`${message.length} characters: ${message.slice(0, 200)}`);
    }
  }
}

function told(error: unknown): string {
  if (error instanceof CallError) return error.message;
  throw error;
}

async function drain(chunks: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _ of chunks);
}

function listenAnywhere(server: Server): Promise<string> {
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve(`127.0.0.1:${typeof address === "object" ? address?.port : 0}`);
    });
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  const address = await listenAnywhere(server);
  await new Promise((resolve) => server.close(resolve));
  return Number(address.split(":")[1]);
}
