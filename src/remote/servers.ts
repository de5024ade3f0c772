/**
 * The servers of an etcd cluster: keeps a session with one of them, and finds another when it is lost.
 *
 * Idea. One loop for as long as RemoteKv is open. A round tries the servers in order, beginning with the one after the lost one;
 * the next is tried when one fails, or has not answered for a moment, so that a host that swallows packets delays nobody. The
 * first that is found fit wins. Between rounds the loop pauses, longer each time, by chance a little less.
 *
 * Invariants.
 * - At most one session takes new calls; connections that were told to leave end when their last stream does.
 * - A reason why no server is fit is logged once, not each round.
 *
 * @module
 */
import type { Clock, Timer } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { pause, within } from "../lib/wait.ts";
import { Connection } from "./grpc/connection.ts";
import { GrpcError, Status } from "./grpc/status.ts";
import type { Login } from "./login.ts";
import type { RemoteTls, ServerAddress } from "./options.ts";
import { formatClusterId, hello, type Session } from "./session.ts";

export interface ServersOptions {
  readonly addresses: readonly ServerAddress[];
  readonly tls: RemoteTls;
  readonly login: Login;
  readonly clock: Clock;
  readonly log: Log;
  /** The session, or the reason for having none, is another. */
  readonly onChange: () => void;
}

export interface Patience {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

const CONNECT_TIMEOUT_MS = 2_000;
/** A healthy server answers within a few milliseconds. */
const NEXT_SERVER_AFTER_MS = 250;
const ROUND_PAUSE_MIN_MS = 50;
const ROUND_PAUSE_MAX_MS = 2_000;
/** An election is over within this: whoever waits for its outcome (2.5 s at the API) shall not wait for the next round as well. */
const ELECTION_MS = 3_000;
const ELECTION_PAUSE_MAX_MS = 300;
/** A session that lived so long was a good one: what ended it is no reason to wait. */
const GOOD_SESSION_MS = 5_000;

export class Servers {
  readonly #options: ServersOptions;
  readonly #closing = new AbortController();
  readonly #connections = new Set<Connection>();
  #session: Session | null = null;
  #arrival = Promise.withResolvers<Session>();
  #clusterId: bigint | undefined;
  #first = 0;
  #reason = "no server has been reached yet";
  #running: Promise<void> | null = null;

  constructor(options: ServersOptions) {
    this.#options = options;
    // Nobody may be waiting when it is closed.
    this.#arrival.promise.catch(() => {});
  }

  get session(): Session | null {
    return this.#session;
  }
  /** Why there is no session. */
  get reason(): string {
    return this.#reason;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends all connections, with what is open on them. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#arrival.reject(closedError());
    for (const connection of [...this.#connections]) connection.close("closed by this side");
    await this.#running;
  }

  /** The present session, or the next one. Throws GrpcError when none comes in time. */
  async acquire({ timeoutMs, signal }: Patience): Promise<Session> {
    if (this.#closing.signal.aborted) throw closedError();
    if (this.#session?.connection.usable) return this.#session;
    // The loop has waited for this longer, so it hears of it first.
    await this.#session?.connection.leaving;
    return within(this.#options.clock, this.#arrival.promise, {
      timeoutMs,
      signal,
      error: (why) =>
        why === "aborted"
          ? new GrpcError(Status.cancelled, "it was cancelled", "not-sent")
          : new GrpcError(Status.unavailable, `no etcd server can be used: ${this.#reason}`, "not-sent"),
    });
  }

  /** This server cannot do its work (it says): new calls go to another one, if there is one. */
  distrust(session: Session, reason: string): void {
    session.connection.retire(reason);
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#closing;
    let pauseMs = ROUND_PAUSE_MIN_MS;
    let lostMs = clock.now();
    while (!signal.aborted) {
      const session = await this.#round();
      if (session !== null) {
        const beganMs = clock.now();
        await this.#use(session);
        if (clock.now() - beganMs >= GOOD_SESSION_MS) {
          pauseMs = ROUND_PAUSE_MIN_MS;
          lostMs = clock.now();
          continue;
        }
      }
      await pause(clock, pauseMs * (0.5 + Math.random() / 2), signal);
      const mayBeElecting = clock.now() - lostMs < ELECTION_MS;
      pauseMs = Math.min(2 * pauseMs, mayBeElecting ? ELECTION_PAUSE_MAX_MS : ROUND_PAUSE_MAX_MS);
    }
  }

  /** From its first call to its last. */
  async #use(session: Session): Promise<void> {
    const { log, onChange, addresses } = this.#options;
    const { connection, version, clusterId } = session;
    if (this.#clusterId === undefined) {
      log.notice("Connected to etcd", { server: connection.url, version, cluster: formatClusterId(clusterId) });
    } else {
      log.notice("Connected to etcd again", { server: connection.url });
    }
    this.#clusterId = clusterId;
    this.#session = session;
    this.#arrival.resolve(session);
    onChange();
    const reason = await connection.leaving;
    this.#session = null;
    if (this.#closing.signal.aborted) return;
    this.#arrival = Promise.withResolvers();
    this.#arrival.promise.catch(() => {});
    this.#first = (addresses.findIndex(({ url }) => url === connection.url) + 1) % addresses.length;
    this.#reason = `${connection.url}: ${reason}`;
    log.warning("Lost the connection to etcd: looking for a server", { server: connection.url, reason });
    onChange();
  }

  /** Asks each server once; null when none is fit. */
  #round(): Promise<Session | null> {
    const { addresses, clock } = this.#options;
    const order = addresses.map((_, i) => addresses[(this.#first + i) % addresses.length] as ServerAddress);
    const others = new AbortController();
    const end = () => others.abort();
    this.#closing.signal.addEventListener("abort", end);
    const reasons: string[] = [];
    let tried = 0;
    let isWon = false;
    let next: Timer | undefined;
    return new Promise<Session | null>((resolve, reject) => {
      const tryNext = () => {
        next?.cancel();
        const address = order[tried];
        if (address === undefined || isWon || others.signal.aborted) return;
        tried++;
        if (tried < order.length) next = clock.after(NEXT_SERVER_AFTER_MS, tryNext);
        this.#try(address, others.signal).then(
          (session) => {
            if (isWon) return session.connection.close("another server was found first");
            isWon = true;
            resolve(session);
          },
          (error: unknown) => {
            if (!(error instanceof GrpcError)) return reject(error);
            reasons.push(`${address.url}: ${error.message}`);
            if (reasons.length === order.length || others.signal.aborted) resolve(null);
            else tryNext();
          },
        );
      };
      tryNext();
    }).finally(() => {
      next?.cancel();
      this.#closing.signal.removeEventListener("abort", end);
      if (!isWon && !this.#closing.signal.aborted) this.#failed(reasons);
      others.abort();
    });
  }

  async #try({ url }: ServerAddress, signal: AbortSignal): Promise<Session> {
    const { tls, clock, login } = this.#options;
    const onEnd = (ended: Connection) => void this.#connections.delete(ended);
    const connection = await Connection.open({ url, tls, clock, timeoutMs: CONNECT_TIMEOUT_MS, signal, onEnd });
    this.#connections.add(connection);
    try {
      return await hello(connection, login, this.#clusterId, signal);
    } catch (error) {
      connection.close("it is not fit");
      throw error;
    }
  }

  #failed(reasons: readonly string[]): void {
    const reason = reasons.toSorted().join("; ");
    if (reason === this.#reason) return;
    this.#reason = reason;
    this.#options.log.warning("Cannot use any etcd server: trying on", { reason });
    this.#options.onChange();
  }
}

function closedError(): GrpcError {
  return new GrpcError(Status.cancelled, "the store is closed", "not-sent");
}
