/** The whole library at once: three nodes on SQLite and TCP; what the simulation shows must also hold on real files and sockets. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { collectingLoader } from "../../test/fakes/collecting-loader.ts";
import { type Clock, type Entry, type LogStorage, RaftNode, type StateLoader, type StateMachine } from "../index.ts";
import { openSqliteLog, RAFT_MAGIC, TcpTransport } from "./index.ts";

const CLOCK: Clock = {
  now: () => performance.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};
const LOG = { debug() {}, info() {}, notice() {}, warning() {}, error() {} };
const MEMBERS = [1, 2, 3];
const encoder = new TextEncoder();
const decoder = new TextDecoder();

class ListMachine implements StateMachine {
  items: string[] = [];
  onItem: () => void = () => {};
  apply(entry: Entry): number {
    this.items.push(decoder.decode(entry.data));
    this.onItem();
    return this.items.length;
  }
  snapshot(): AsyncIterable<Uint8Array> {
    const text = this.items.join("\n");
    return (async function* () {
      for (let at = 0; at < text.length; at += 1000) yield encoder.encode(text.slice(at, at + 1000));
    })();
  }
  onChunk: (count: number) => void = () => {};
  load(): StateLoader {
    const { write, finish } = collectingLoader((all) => {
      this.items = decoder.decode(all).split("\n");
      this.onItem();
    });
    let count = 0;
    const counted = (chunk: Uint8Array) => {
      write(chunk);
      this.onChunk(++count);
    };
    return { write: counted, finish };
  }
  /** Resolves when it holds that many; the test's deadline ends it otherwise. */
  async holds(count: number): Promise<void> {
    while (this.items.length < count) {
      await new Promise<void>((resolve) => {
        this.onItem = resolve;
      });
    }
  }
}

interface Running {
  readonly node: RaftNode;
  readonly machine: ListMachine;
  readonly storage: LogStorage;
}

let directory: string;
const addresses = new Map<number, string>();
const servers = new Map<number, Server>();
const transports = new Map<number, TcpTransport>();
const running = new Map<number, Running>();

/** Accepted ones, of all members. */
const sockets = new Set<Socket>();

function welcome(id: number, socket: Socket): void {
  sockets.add(socket);
  socket.on("close", () => sockets.delete(socket));
  socket.on("error", () => {});
  socket.once("data", (chunk: Buffer) => {
    const transport = transports.get(id);
    if (transport === undefined || chunk.subarray(0, 8).toString() !== RAFT_MAGIC) socket.destroy();
    else transport.accept(socket, chunk.subarray(8));
  });
}

async function boot(id: number): Promise<Running> {
  const transport = new TcpTransport({
    self: id,
    clusterId: "test",
    peers: addresses,
    dial: (address) => connect({ host: "127.0.0.1", port: Number(address.split(":")[1]) }),
    log: LOG,
    clock: CLOCK,
  });
  const machine = new ListMachine();
  const storage = await openSqliteLog({ path: join(directory, `${id}.db`), clusterId: "test", nodeId: id });
  const node = new RaftNode(
    {
      id,
      membership: { voters: MEMBERS, learners: [] },
      tickMs: 20,
      heartbeatMs: 40,
      electionTimeoutMs: 300,
      electionJitterMs: 200,
      snapshotLogEntries: 100,
      trailingEntries: 10,
    },
    {
      clock: CLOCK,
      storage,
      transport,
      machine,
      random: Math.random,
      log: LOG,
      onFatal: (error) => {
        throw error;
      },
    },
  );
  transports.set(id, transport);
  await node.start();
  const member = { node, machine, storage };
  running.set(id, member);
  return member;
}

async function shut(id: number): Promise<void> {
  const member = running.get(id);
  running.delete(id);
  transports.delete(id);
  await member?.node.stop();
  await member?.storage.close();
}

/** The one that leads, as soon as one does. */
function leader(): Promise<Running> {
  return new Promise((resolve) => {
    const ends: (() => void)[] = [];
    const look = () => {
      const found = [...running.values()].find(({ node }) => node.role === "leader");
      if (found === undefined) return;
      for (const end of ends) end();
      resolve(found);
    };
    for (const { node } of running.values()) ends.push(node.onChange(look));
    look();
  });
}

function propose(member: Running, from: number, to: number): Promise<number[]> {
  const all = Array.from({ length: to - from + 1 }, (_, i) =>
    member.node.propose<number>(encoder.encode(`${from + i}`)),
  );
  return Promise.all(all);
}

const upTo = (count: number) => Array.from({ length: count }, (_, i) => `${i + 1}`);

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "raft-cluster-"));
  for (const id of MEMBERS) {
    const server = createServer((socket) => welcome(id, socket));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    addresses.set(id, `127.0.0.1:${address !== null && typeof address === "object" ? address.port : 0}`);
    servers.set(id, server);
  }
  for (const id of MEMBERS) await boot(id);
});
afterEach(async () => {
  for (const id of MEMBERS) await shut(id);
  for (const server of servers.values()) server.close();
  rmSync(directory, { recursive: true, force: true });
});

test("commands reach every machine in order, and reads see them everywhere", async () => {
  await propose(await leader(), 1, 50);
  for (const { node, machine } of running.values()) {
    await node.readIndex();
    expect(machine.items).toEqual(upTo(50));
  }
});

test("when the leader stops another one takes over within the connection's loss, and the old one comes back", async () => {
  const first = await leader();
  await propose(first, 1, 20);
  await shut(first.node.id);
  const second = await leader();
  expect(await propose(second, 21, 30)).toHaveLength(10);
  const { machine } = await boot(first.node.id);
  await machine.holds(30);
  expect(machine.items).toEqual(upTo(30));
});

test("a member that missed more than the log holds gets a snapshot over its own connection", async () => {
  const first = await leader();
  const absent = MEMBERS.find((id) => id !== first.node.id) ?? 0;
  await shut(absent);
  for (let from = 1; from <= 601; from += 100) await propose(first, from, from + 99);
  await first.node.snapshotNow();
  expect(first.node.status().firstIndex).toBeGreaterThan(600);
  const { machine, storage } = await boot(absent);
  await machine.holds(700);
  expect(machine.items).toEqual(upTo(700));
  expect(
    await storage.readSnapshot().then(async (found) => {
      await found?.chunks[Symbol.asyncIterator]().return?.();
      return found?.meta.index ?? 0;
    }),
  ).toBeGreaterThan(600);
});

test("a transfer whose connection is cut goes on where it broke, on files and sockets", async () => {
  const first = await leader();
  const absent = MEMBERS.find((id) => id !== first.node.id) ?? 0;
  await shut(absent);
  for (let from = 1; from <= 4001; from += 500) await propose(first, from, from + 499);
  await first.node.snapshotNow();
  const chunks = Math.ceil(upTo(4500).join("\n").length / 1000);
  const { machine } = await boot(absent);
  const counts: number[] = [];
  machine.onChunk = (count) => {
    counts.push(count);
    if (counts.length === 10) for (const socket of sockets) socket.destroy();
  };
  await machine.holds(4500);
  expect(machine.items).toEqual(upTo(4500));
  // One loader, each chunk once: nothing came twice.
  expect(counts).toEqual(Array.from({ length: chunks }, (_, i) => i + 1));
  expect(readdirSync(directory).filter((name) => name.startsWith(`${absent}.db.snapshot-`))).toHaveLength(1);
});

test("a receiver that dies in the middle begins anew, and leaves no file behind", async () => {
  const first = await leader();
  const absent = MEMBERS.find((id) => id !== first.node.id) ?? 0;
  await shut(absent);
  for (let from = 1; from <= 2001; from += 500) await propose(first, from, from + 499);
  await first.node.snapshotNow();
  const { machine } = await boot(absent);
  await new Promise<void>((resolve) => {
    machine.onChunk = (count) => {
      if (count === 5) resolve();
    };
  });
  await shut(absent);
  const again = await boot(absent);
  await again.machine.holds(2500);
  expect(again.machine.items).toEqual(upTo(2500));
  expect(readdirSync(directory).filter((name) => name.startsWith(`${absent}.db.snapshot-`))).toHaveLength(1);
});

test("all of them stopped and started again hold what they held", async () => {
  await propose(await leader(), 1, 250);
  for (const id of MEMBERS) await shut(id);
  for (const id of MEMBERS) await boot(id);
  const again = await leader();
  await again.node.readIndex();
  expect(again.machine.items).toEqual(upTo(250));
  expect(await propose(again, 251, 251)).toEqual([251]);
});
