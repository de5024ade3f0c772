/**
 * etcd's users: trades name and password for a token, and the token for a new one when it is refused.
 *
 * Invariants.
 * - Callers who find the same token refused share one login.
 * - Neither password nor token is ever part of a message.
 *
 * @module
 */
import { Auth } from "../etcd-proto/etcd_pb.ts";
import type { Log } from "../lib/log.ts";
import type { Connection } from "./grpc/connection.ts";
import { GrpcError, Status } from "./grpc/status.ts";
import { ask, encodeRequest } from "./rpc.ts";

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

const LOGIN_TIMEOUT_MS = 2_000;
const NOT_ENABLED = "etcdserver: authentication is not enabled";
/** etcd forgets tokens after five minutes without use, and when it restarts; and all of them when its users change. */
const STALE_TOKEN: ReadonlySet<string> = new Set([
  "etcdserver: invalid auth token",
  "etcdserver: revision of auth store is old",
]);

export function isStaleToken(error: GrpcError): boolean {
  return error.fate === "answered" && STALE_TOKEN.has(error.message);
}

export class Login {
  readonly #credentials: Credentials | undefined;
  readonly #log: Log;
  #token: string | undefined;
  #renewing: Promise<void> | undefined;

  constructor(credentials: Credentials | undefined, log: Log) {
    this.#credentials = credentials;
    this.#log = log;
  }

  get isNeeded(): boolean {
    return this.#credentials !== undefined;
  }
  /** What to send with a call; undefined: nothing, or not logged in. */
  get token(): string | undefined {
    return this.#token;
  }

  /** Gets a token unless there is one other than the refused one. Throws GrpcError. */
  async ensure(connection: Connection, refused?: string): Promise<void> {
    if (this.#credentials === undefined || this.#token !== refused) return;
    this.#renewing ??= this.#authenticate(this.#credentials, connection).finally(() => {
      this.#renewing = undefined;
    });
    await this.#renewing;
  }

  async #authenticate({ username, password }: Credentials, connection: Connection): Promise<void> {
    const request = encodeRequest(Auth.method.authenticate.input, { name: username, password });
    try {
      const options = { timeoutMs: LOGIN_TIMEOUT_MS };
      this.#token = (await ask(connection, Auth.method.authenticate, request, options)).token;
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error;
      if (error.message !== NOT_ENABLED) {
        // etcd calls a wrong password an invalid argument: of the call that needed the login it says nothing.
        const [status, fate] =
          error.fate === "answered"
            ? ([Status.unauthenticated, "answered"] as const)
            : ([error.status, "not-sent"] as const);
        throw new GrpcError(status, `logging in to etcd as "${username}" failed: ${error.message}`, fate);
      }
      this.#log.warning("Did not log in to etcd: it asks nobody for a password", { server: connection.url });
      this.#token = "";
    }
  }
}
