/**
 * RemoteKv before servers that a test controls: fake ones, on a clock that moves when the test says so.
 *
 * Idea. Sockets take no time on that clock, so deadlines, pauses and pings come only when they are asked for.
 *
 * @module
 */
import { afterEach } from "bun:test";
import type { Settings } from "node:http2";
import type { Log } from "../../src/lib/log.ts";
import { encodeText } from "../../src/lib/text.ts";
import { openRemoteKv, type RemoteKv, type RemoteKvOptions } from "../../src/remote/index.ts";
import type { Op, TxnRequest } from "../../src/store/kv.ts";
import { FakeEtcd } from "./fake-etcd.ts";
import { ManualClock } from "./manual-clock.ts";

export const TIMEOUT_MS = 1_000;

export class RemoteWorld {
  readonly clock = new ManualClock();
  readonly servers: FakeEtcd[] = [];
  readonly said: string[] = [];
  readonly #opened: RemoteKv[] = [];

  static async start(serverCount = 1, settings: Settings = {}): Promise<RemoteWorld> {
    const world = new RemoteWorld();
    for (let i = 0; i < serverCount; i++) world.servers.push(await FakeEtcd.start(settings));
    return world;
  }

  get server(): FakeEtcd {
    return this.servers[0] as FakeEtcd;
  }

  /** Bound, so that a test may take it out of its world by name. */
  readonly open = async (options: Partial<RemoteKvOptions> = {}): Promise<RemoteKv> => {
    const say = (message: string, fields: object = {}) => this.said.push(`${message} ${JSON.stringify(fields)}`);
    const log: Log = { debug: say, info: say, notice: say, warning: say, error: say };
    const kv = await openRemoteKv({
      servers: this.servers.map(({ url }) => url),
      requestTimeoutMs: TIMEOUT_MS,
      clock: this.clock,
      log,
      ...options,
    });
    this.#opened.push(kv);
    return kv;
  };

  async end(): Promise<void> {
    for (const kv of this.#opened) await kv.close();
    for (const server of this.servers) await server.stop();
  }
}

/** To be called at the top of a test file: returns what makes a world that ends with its test. */
export function remoteWorlds(): typeof RemoteWorld.start {
  const worlds: RemoteWorld[] = [];
  afterEach(async () => {
    for (const made of worlds.splice(0)) await made.end();
  });
  return async (serverCount, settings) => {
    const made = await RemoteWorld.start(serverCount, settings);
    worlds.push(made);
    return made;
  };
}

/** Lets sockets deliver until it holds; no time passes on the world's clock. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 20_000; turn++) {
    if (holds()) return;
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  throw new Error(`Waited in vain until ${what}`);
}

export function put(name: string, value = "1"): TxnRequest {
  const op: Op = { op: "put", key: encodeText(name), value: encodeText(value) };
  return { compare: [], success: [op], failure: [] };
}
