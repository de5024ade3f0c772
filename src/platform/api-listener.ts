/**
 * Where the fleet API listens: unix sockets, TCP only if asked, and what systemd has opened for this daemon.
 *
 * Idea. A listener is a socket that is accepted on; how it came to be (made here, inherited) is this file's, what is said on its
 * connections http-connections.ts's. An own unix socket belongs to root and the group `flt` and is made with the right mode
 * from its first moment, through the umask.
 *
 * Invariants.
 * - A socket file that another living daemon answers on is never taken away from it; an inherited one stays where it is.
 * - Nothing but a socket is ever removed: a mistyped listen_api must not cost a file.
 * - TCP binds exactly the host that was written; nothing here turns a missing host into "all interfaces".
 *
 * @module
 */
import { chownSync, existsSync, lstatSync, readFileSync, unlinkSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { connect, createServer, type ListenOptions, type Server } from "node:net";
import { dirname } from "node:path";
import { splitHostPort } from "./addresses.ts";
import { HttpConnections, type HttpHandler } from "./http-connections.ts";
import type { InheritedSocket } from "./inherited-sockets.ts";

/** rw for owner and group, nothing for others. */
const SOCKET_UMASK = 0o117;
const SOCKET_GROUP = "flt";
/** A client has one or two; a flood waits in the kernel's queue instead of in our memory. */
const MAX_CONNECTIONS = 4096;
/** Probes of a silent TCP client begin after this: one that lost power must not keep its stream for ever. */
const KEEP_ALIVE_MS = 30_000;

export interface ApiListener {
  readonly endpoint: string;
  /** Stops listening; requests under way are ended with it. */
  close(): Promise<void>;
}

/**
 * Throws the bare reason: what was attempted is its caller's to say.
 *
 * @param endpoint `unix:///path` or `http://host:port`, checked by the configuration.
 */
export async function listenApi(endpoint: string, handler: HttpHandler): Promise<ApiListener> {
  const url = /^(unix|http):\/\/(.+?)\/?$/.exec(endpoint);
  if (url?.[1] === "unix" && url[2] !== undefined) return await listenUnix(endpoint, url[2], handler);
  if (url?.[1] === "http" && url[2] !== undefined) {
    return await listen(endpoint, { ...splitHostPort(url[2]), exclusive: true }, handler);
  }
  throw new Error(`"${endpoint}" is neither unix:///path nor http://host:port`);
}

/** Serves a socket that systemd made, and will keep: its file and its waiting clients outlive this daemon. */
export function serveInherited(socket: InheritedSocket, handler: HttpHandler): Promise<ApiListener> {
  return listen(socket.endpoint, { fd: socket.fd }, handler);
}

type Place = ListenOptions | { readonly fd: number };

async function listen(endpoint: string, where: Place, handler: HttpHandler): Promise<ApiListener> {
  const connections = new HttpConnections(handler);
  const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS }, (socket) =>
    connections.take(socket),
  );
  server.maxConnections = MAX_CONNECTIONS;
  await listening(server, where);
  return {
    endpoint,
    close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      connections.close();
      return closed;
    },
  };
}

/** Bun binds within this call, before its first await: the caller may set the umask round it. */
function listening(server: Server, where: Place): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(where, () => {
      server.off("error", reject);
      // Out of descriptors, for one: the next accept may succeed, and clients see the refusal.
      server.on("error", () => {});
      resolve();
    });
  });
}

async function listenUnix(endpoint: string, path: string, handler: HttpHandler): Promise<ApiListener> {
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  if (existsSync(path)) {
    if (!lstatSync(path).isSocket()) throw new Error("a file that is no socket is there");
    if (await answers(path)) throw new Error("another daemon answers there");
    unlinkSync(path);
  }
  const before = process.umask(SOCKET_UMASK);
  let opening: Promise<ApiListener>;
  try {
    opening = listen(endpoint, { path }, handler);
  } finally {
    process.umask(before);
  }
  const listener = await opening;
  const group = groupId(SOCKET_GROUP);
  if (group !== null && process.getuid?.() === 0) chownSync(path, 0, group);
  return {
    endpoint,
    async close() {
      await listener.close();
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
