/**
 * Where the fleet API listens: unix sockets and, only if asked, TCP.
 *
 * Idea. One handler from Request to Response serves every listener. A unix socket belongs to root and the group `flt`
 * and is made with the right mode from its first moment, through the umask.
 *
 * Invariants.
 * - A socket file that another living daemon answers on is never taken away from it.
 * - TCP binds exactly the host that was written; nothing here turns a missing host into "all interfaces".
 *
 * @module
 */
import { chownSync, existsSync, readFileSync, unlinkSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { connect } from "node:net";
import { dirname } from "node:path";
import { splitHostPort } from "./addresses.ts";

/** rw for owner and group, nothing for others. */
const SOCKET_UMASK = 0o117;
const SOCKET_GROUP = "flt";
/** Requests are small: the largest unit file that the store takes fits several times. */
const MAX_BODY_BYTES = 8 * 1024 * 1024;

export interface ApiListener {
  readonly endpoint: string;
  /** Stops listening; requests under way are ended with it. */
  close(): Promise<void>;
}

export type ApiHandler = (request: Request) => Promise<Response>;

/** @param endpoint `unix:///path` or `http://host:port`, checked by the configuration. */
export async function listenApi(endpoint: string, handler: ApiHandler): Promise<ApiListener> {
  const url = /^(unix|http):\/\/(.+?)\/?$/.exec(endpoint);
  if (url?.[1] === "unix" && url[2] !== undefined) return await listenUnix(endpoint, url[2], handler);
  if (url?.[1] === "http" && url[2] !== undefined) {
    const { host, port } = splitHostPort(url[2]);
    const server = Bun.serve({
      hostname: host,
      port,
      fetch: handler,
      maxRequestBodySize: MAX_BODY_BYTES,
      ...NO_IDLE_TIMEOUT,
    });
    return { endpoint, close: () => server.stop(true) };
  }
  throw new Error(`Listening on "${endpoint}" failed: it is neither unix:///path nor http://host:port`);
}

/**
 * Streams live as long as their reader. Bun's types know no idle timeout on unix sockets; Bun has one there, too: 10 s,
 * and only this option takes it away (server.timeout() does not, measured on 1.4.5). Hence the wide type.
 */
const NO_IDLE_TIMEOUT: object = { idleTimeout: 0 };

async function listenUnix(endpoint: string, path: string, handler: ApiHandler): Promise<ApiListener> {
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  if (existsSync(path)) {
    if (await answers(path)) throw new Error(`Listening on "${endpoint}" failed: another daemon answers there`);
    unlinkSync(path);
  }
  const before = process.umask(SOCKET_UMASK);
  let server: Bun.Server<undefined>;
  try {
    server = Bun.serve({ unix: path, fetch: handler, maxRequestBodySize: MAX_BODY_BYTES, ...NO_IDLE_TIMEOUT });
  } finally {
    process.umask(before);
  }
  const group = groupId(SOCKET_GROUP);
  if (group !== null && process.getuid?.() === 0) chownSync(path, 0, group);
  return {
    endpoint,
    async close() {
      await server.stop(true);
      if (existsSync(path)) unlinkSync(path);
    },
  };
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** From /etc/group; null when there is no such group: the socket stays root's alone. */
function groupId(name: string): number | null {
  if (!existsSync("/etc/group")) return null;
  const line = readFileSync("/etc/group", "utf8")
    .split("\n")
    .find((text) => text.startsWith(`${name}:`));
  const id = Number(line?.split(":")[2]);
  return Number.isInteger(id) ? id : null;
}
