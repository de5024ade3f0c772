/**
 * A call of etcd's API from its beginning to its end: session, token, deadline, and whether to try again.
 *
 * Invariants.
 * - A write is sent a second time only when it is certain that nothing was done: the server turned the call away unseen, for want
 *   of a leader mostly, or refused the token. Whether a lost write took effect is the caller's to find out (`unknown-fate`).
 * - A read is asked again, elsewhere, when the connection or the leader was lost, as long as its time lasts. Where that is longer
 *   than a request's own, an answer that does not come is given up after the latter and asked for anew: a member hands a read to
 *   the leader that it knows, and goes on waiting for that one when another was elected.
 * - Every call ends by its deadline, and all of them end when this is closed.
 *
 * @module
 */
import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { Clock } from "../lib/clock.ts";
import { type CallOptions, KvError, MAX_REQUEST_BYTES } from "../store/kv.ts";
import { cancelledError, closedError, isLeaderless, isOverdue, isPassing, toKvError } from "./errors.ts";
import { GrpcError } from "./grpc/status.ts";
import { isStaleToken, type Login } from "./login.ts";
import { ask, encodeRequest, type Method } from "./rpc.ts";
import type { Servers } from "./servers.ts";
import type { Session } from "./session.ts";

export interface Call {
  /** For messages: "Range", "Transaction". */
  readonly action: string;
  readonly writes: boolean;
  /** The member may answer from what it has, even without a leader. */
  readonly serializable?: boolean | undefined;
}

export interface CallerOptions {
  readonly servers: Servers;
  readonly login: Login;
  readonly clock: Clock;
  /** A call's time unless it brings its own; and how long one request of a read is waited for in any case. */
  readonly timeoutMs: number;
}

type Metadata = Readonly<Record<string, string>>;

/** So that a server that turns every call away does not keep us busy until the deadline. One that took its time does not count. */
const TRIES_MAX = 5;
/** A server without a leader says so at once instead of letting the call wait for one. */
const HAS_LEADER = { hasleader: "true" };

export class Caller {
  readonly #options: CallerOptions;
  #isClosed = false;

  constructor(options: CallerOptions) {
    this.#options = options;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** What goes with a call beside its message. */
  metadata(serializable = false): Metadata {
    const { token = "" } = this.#options.login;
    return { ...(serializable ? {} : HAS_LEADER), ...(token === "" ? {} : { token }) };
  }

  /** Throws KvError. */
  async ask<I extends DescMessage, O extends DescMessage>(
    call: Call,
    method: Method<I, O>,
    request: MessageInitShape<I>,
    options: CallOptions,
  ): Promise<MessageShape<O>> {
    // Before the first wait: afterwards the caller may change its bytes.
    const message = encodeRequest(method.input, request);
    if (message.length > MAX_REQUEST_BYTES) {
      const reason = `the request has ${message.length} bytes, more than the ${MAX_REQUEST_BYTES} that etcd takes`;
      throw new KvError("request-too-large", `${call.action} failed: ${reason}`);
    }
    return this.run(call, options, (session, timeoutMs, metadata) =>
      ask(session.connection, method, message, { timeoutMs, signal: options.signal, metadata }),
    );
  }

  /** Runs `work` with a session, again where that is safe; throws KvError. */
  async run<T>(
    call: Call,
    options: CallOptions,
    work: (session: Session, timeoutMs: number, metadata: Metadata) => Promise<T>,
  ): Promise<T> {
    const { servers, clock } = this.#options;
    const deadlineMs = clock.now() + (options.timeoutMs ?? this.#options.timeoutMs);
    for (let tries = 1; ; ) {
      if (this.#isClosed) throw closedError(call.action);
      if (options.signal?.aborted) throw cancelledError(call.action);
      let session: Session | undefined;
      let patienceMs = 0;
      let askedAtMs = 0;
      const metadata = () => this.metadata(call.serializable);
      try {
        session = await servers.acquire({ timeoutMs: deadlineMs - clock.now(), signal: options.signal });
        patienceMs = this.#patienceMs(call, deadlineMs);
        askedAtMs = clock.now();
        return await this.#withToken(session, metadata, (token) => work(session as Session, patienceMs, token));
      } catch (error) {
        if (!(error instanceof GrpcError)) throw error;
        if (session !== undefined && isLeaderless(error)) servers.distrust(session, error.message);
        const isWorthIt = session !== undefined && tries < TRIES_MAX && deadlineMs > clock.now();
        if (isWorthIt && mayRepeat(call, error) && !options.signal?.aborted) {
          const tookItsTime = clock.now() - askedAtMs >= patienceMs / 2;
          if (!isOverdue(error) || !tookItsTime) tries++;
          continue;
        }
        throw this.#kvError(call, error, options);
      }
    }
  }

  close(): void {
    this.#isClosed = true;
  }

  #patienceMs({ writes }: Call, deadlineMs: number): number {
    const leftMs = deadlineMs - this.#options.clock.now();
    return writes ? leftMs : Math.min(leftMs, this.#options.timeoutMs);
  }

  /** A refused token is renewed once; refused is refused, also for a write. */
  async #withToken<T>(
    session: Session,
    metadata: () => Metadata,
    work: (metadata: Metadata) => Promise<T>,
  ): Promise<T> {
    const { login } = this.#options;
    const { token } = login;
    try {
      return await work(metadata());
    } catch (error) {
      if (!login.isNeeded || !(error instanceof GrpcError) || !isStaleToken(error)) throw error;
      await login.ensure(session.connection, token);
      return work(metadata());
    }
  }

  #kvError(call: Call, error: GrpcError, { signal }: CallOptions): Error {
    if (signal?.aborted) return cancelledError(call.action);
    if (this.#isClosed) return closedError(call.action);
    return toKvError(call.action, error, call.writes);
  }
}

function mayRepeat({ writes }: Call, error: GrpcError): boolean {
  return error.fate === "not-sent" || isLeaderless(error) || (!writes && isPassing(error));
}
