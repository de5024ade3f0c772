/**
 * etcds and RemoteKvs of a test, which end with it.
 *
 * @module
 */
import { SILENT_LOG } from "../../src/lib/log.ts";
import { encodeText } from "../../src/lib/text.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { openRemoteKv, type RemoteKv, type RemoteKvOptions } from "../../src/remote/index.ts";
import type { KvError } from "../../src/store/kv.ts";
import { type EtcdOptions, EtcdServer } from "./etcd-server.ts";

export const KEY = { key: encodeText("a") };

const ends: (() => Promise<void>)[] = [];

/** After each test: what it opened is closed, what it started is gone. */
export async function endAll(): Promise<void> {
  for (const end of ends.splice(0).reverse()) await end();
}

/** Before that. */
export function atEnd(end: () => Promise<void>): void {
  ends.push(end);
}

export async function etcd(options?: EtcdOptions): Promise<EtcdServer> {
  const server = await EtcdServer.start(options);
  ends.push(() => server.remove());
  return server;
}

export async function open(servers: readonly EtcdServer[], options: Partial<RemoteKvOptions> = {}): Promise<RemoteKv> {
  const kv = await openRemoteKv({
    servers: servers.map(({ url }) => url),
    requestTimeoutMs: 2_000,
    clock: systemClock,
    log: SILENT_LOG,
    ...options,
  });
  ends.push(() => kv.close());
  return kv;
}

/** Resolves when the state fits. */
export function when(kv: RemoteKv, fits: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (!fits()) return;
      stop();
      resolve();
    };
    const stop = kv.onChange(look);
    look();
  });
}

/** How the call ended: "done", or a KvError's code. */
export function codeOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => "done",
    (error: unknown) => (error as KvError).code,
  );
}
