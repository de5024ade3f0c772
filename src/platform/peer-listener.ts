/**
 * The one place where the daemon listens for, and dials, other daemons.
 *
 * Idea. One TCP port serves two kinds of streams. The first eight bytes of a connection say which: raft's frames or calls.
 * When connections become mutual TLS, this file changes and nothing else.
 *
 * Invariants.
 * - A connection that does not say what it is within HELLO_TIMEOUT_MS is closed: strangers hold no resources.
 * - Every accepted socket has an error listener from its first moment, and dies with the listener.
 *
 * @module
 */
import { connect, createServer, type Server, type Socket } from "node:net";
import type { Log } from "../lib/log.ts";
import { splitHostPort } from "./addresses.ts";
import { CALL_MAGIC, MAGIC_BYTES, RAFT_MAGIC } from "./call-frames.ts";
import { Refusals } from "./refusals.ts";

const HELLO_TIMEOUT_MS = 5000;
/** Far above five members and a thousand agents; a flood is refused by the kernel instead of by our memory. */
const MAX_CONNECTIONS = 8192;
/** Probes of a silent peer begin after this (TCP_KEEPIDLE). */
const KEEP_ALIVE_MS = 5000;

/** Takes a connection over; `head` is what was read beyond the eight bytes. */
export type SocketTaker = (socket: Socket, head: Uint8Array) => void;

export interface PeerListenerOptions {
  /** host:port, as configured. */
  readonly address: string;
  readonly raft: SocketTaker;
  readonly calls: SocketTaker;
  readonly log: Log;
}

export class PeerListener {
  readonly #options: PeerListenerOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #refusals: Refusals;

  constructor(options: PeerListenerOptions) {
    this.#options = options;
    this.#refusals = new Refusals(options.log);
    this.#server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS }, (socket) =>
      this.#welcome(socket),
    );
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /** Rejects with the system's error (EADDRINUSE, EADDRNOTAVAIL, EACCES). */
  listen(): Promise<void> {
    const { host, port } = splitHostPort(this.#options.address);
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ host, port, exclusive: true }, () => {
        this.#server.off("error", reject);
        this.#server.on("error", (error) =>
          this.#options.log.error("Accepting a connection from a peer failed", { reason: error.message }),
        );
        resolve();
      });
    });
  }

  close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    return closed;
  }

  #welcome(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    socket.on("error", (error) => this.#options.log.debug("A peer's connection broke", { reason: error.message }));
    let head = Buffer.alloc(0);
    const timer = setTimeout(() => socket.destroy(), HELLO_TIMEOUT_MS);
    const read = (chunk: Buffer) => {
      head = Buffer.concat([head, chunk]);
      if (head.length < MAGIC_BYTES) return;
      clearTimeout(timer);
      socket.off("data", read);
      this.#dispatch(socket, head);
    };
    socket.once("close", () => clearTimeout(timer));
    socket.on("data", read);
  }

  #dispatch(socket: Socket, head: Buffer): void {
    const magic = head.subarray(0, MAGIC_BYTES).toString("latin1");
    const rest = new Uint8Array(head.subarray(MAGIC_BYTES));
    if (magic === RAFT_MAGIC) this.#options.raft(socket, rest);
    else if (magic === CALL_MAGIC) this.#options.calls(socket, rest);
    else {
      this.#refusals.tell("Refused a connection to the peer port: it does not speak flt's protocol", {
        from: socket.remoteAddress ?? "",
      });
      socket.destroy();
    }
  }
}

/** A socket on its way to another daemon; `error` and `close` tell the rest. */
export function dialPeer(address: string): Socket {
  const { host, port } = splitHostPort(address);
  const socket = connect({ host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS });
  return socket;
}
