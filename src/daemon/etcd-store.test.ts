/**
 * An etcd as the store: nothing waits for it, no port without being asked, and two daemons of one registry find each other.
 *
 * @module
 */
import { afterEach, expect, test } from "bun:test";
import { createServer } from "node:net";
import { ManualClock, settle } from "../../test/fakes/manual-clock.ts";
import type { CallHandler } from "../lib/calls.ts";
import { SILENT_LOG } from "../lib/log.ts";
import { decodeText, encodeText } from "../lib/text.ts";
import { systemClock } from "../platform/clock.ts";
import { type Kv, KvError } from "../store/kv.ts";
import { LocalKv } from "../store/local-kv.ts";
import { type EtcdClient, EtcdStore } from "./etcd-store.ts";

/** A client of an etcd that is away until it is told its name. */
class FakeClient {
  name: string | null;
  isClosed = false;
  readonly local: LocalKv;

  constructor(name: string | null, clock = systemClock) {
    this.name = name;
    this.local = new LocalKv({ clock });
  }
  clusterId(): Promise<string> {
    if (this.name !== null) return Promise.resolve(this.name);
    return Promise.reject(new KvError("unavailable", "connection refused"));
  }
  async close(): Promise<void> {
    this.isClosed = true;
    this.local.close();
  }
  get state() {
    return { connected: this.name !== null, reason: this.name === null ? "connection refused" : null };
  }
  asClient(): EtcdClient {
    return new Proxy(this.local as Kv, {
      get: (target, property) => {
        if (property === "state") return this.state;
        if (property === "clusterId") return () => this.clusterId();
        if (property === "close") return () => this.close();
        const value: unknown = Reflect.get(target, property);
        return typeof value === "function" ? value.bind(target) : value;
      },
    }) as EtcdClient;
  }
}

const opened: EtcdStore[] = [];
afterEach(async () => {
  for (const store of opened.splice(0)) await store.stop();
});

interface Setting {
  readonly port?: number;
  readonly keyPrefix?: string;
  readonly clock?: typeof systemClock;
}

function storeOf(client: FakeClient, { port, keyPrefix = "/p/", clock = systemClock }: Setting = {}) {
  const address = `127.0.0.1:${port}`;
  const store = new EtcdStore({
    client: client.asClient(),
    servers: ["http://127.0.0.1:2379"],
    keyPrefix,
    peer: port === undefined ? null : { listen: address, advertise: address },
    clock,
    log: SILENT_LOG,
  });
  opened.push(store);
  return store;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

const greeting: ReadonlyMap<string, CallHandler> = new Map([
  ["greet", { kind: "unary", handle: async () => encodeText("hello") }],
]);

async function greet(from: EtcdStore, port: number): Promise<string> {
  return decodeText(await from.calls.call(`127.0.0.1:${port}`, "greet", new Uint8Array(), { timeoutMs: 2_000 }));
}

test("an etcd that is away keeps nobody from starting; why is said until it answers", async () => {
  const clock = new ManualClock();
  const client = new FakeClient(null, clock);
  const store = storeOf(client, { clock });
  await store.start(greeting);
  await clock.advance(60_000);
  expect(store.trouble).toBe("No server of etcd_servers (http://127.0.0.1:2379) answers: connection refused");
  expect(store.mayBeLedBy()).toBe(false);
  await expect(store.calls.call("127.0.0.1:1", "greet", new Uint8Array())).rejects.toMatchObject({ code: "not-sent" });
  client.name = "cdf818194e3a8c32";
  await clock.advance(1_000);
  expect([store.trouble, store.mayBeLedBy(), clock.pending]).toEqual([null, true, 0]);
});

test("stop() ends the wait for an etcd, and closes the client", async () => {
  const clock = new ManualClock();
  const client = new FakeClient(null, clock);
  const store = storeOf(client, { clock });
  await store.start(greeting);
  await clock.advance(100);
  await store.stop();
  expect([client.isClosed, clock.pending]).toEqual([true, 0]);
});

test("daemons of one registry answer each other's calls, those of another registry on that etcd do not", async () => {
  const port = await freePort();
  const asked = storeOf(new FakeClient("e1"), { port });
  const friend = storeOf(new FakeClient("e1"));
  const stranger = storeOf(new FakeClient("e1"), { keyPrefix: "/other/" });
  const elsewhere = storeOf(new FakeClient("e2"));
  for (const store of [asked, friend, stranger, elsewhere]) await store.start(greeting);
  await settle();
  expect(await greet(friend, port)).toBe("hello");
  await expect(greet(stranger, port)).rejects.toThrow("cluster");
  await expect(greet(elsewhere, port)).rejects.toThrow("cluster");
});

test("a peer port is open, and answers nobody, before the cluster is known", async () => {
  const port = await freePort();
  const client = new FakeClient(null);
  const waiting = storeOf(client, { port });
  const friend = storeOf(new FakeClient("e1"));
  await waiting.start(greeting);
  await friend.start(greeting);
  await settle();
  await expect(greet(friend, port)).rejects.toMatchObject({ name: "CallError" });
});

test("a peer port that is taken is one line at the start", async () => {
  const port = await freePort();
  await storeOf(new FakeClient("e1"), { port }).start(greeting);
  await expect(storeOf(new FakeClient("e1"), { port }).start(greeting)).rejects.toThrow(
    /^Listening for other machines on 127.0.0.1:\d+ failed: .*; check listen_peer/,
  );
});
