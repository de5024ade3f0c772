/**
 * What RemoteKv is told, and the checks that need no network: wrong settings end here, with a sentence, before anything is dialled.
 *
 * Not here. Files and configuration keys (config/, daemon/): certificates and keys come as PEM text.
 *
 * @module
 */
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { holdsCertificate, pairProblem } from "../lib/pem.ts";

export interface RemoteTls {
  /** PEM: one or more authorities to believe instead of the system's. */
  readonly ca?: string;
  /** PEM: this client's certificate, and the chain behind it. */
  readonly cert?: string;
  readonly key?: string;
}

export interface RemoteKvOptions {
  /** "http://host:2379", "https://host:2379"; tried in this order. */
  readonly servers: readonly string[];
  readonly tls?: RemoteTls;
  /** etcd's own users: both or neither. */
  readonly username?: string;
  readonly password?: string;
  /** A call's time unless it brings its own. */
  readonly requestTimeoutMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** Settings that cannot work, whatever the network does. */
export class RemoteOptionsError extends Error {
  readonly code = "bad-options";
}

export interface ServerAddress {
  /** As it was given, less what follows the port: the name in messages. */
  readonly url: string;
  readonly secure: boolean;
}

/** etcd's own default port for clients. */
const DEFAULT_PORT = "2379";

export function checkOptions(options: RemoteKvOptions): readonly ServerAddress[] {
  if (options.servers.length === 0) throw new RemoteOptionsError("Use an etcd as the store: no server is named");
  const servers = options.servers.map(parseServer);
  checkTls(options.tls ?? {}, servers);
  if (options.password !== undefined && options.username === undefined) {
    throw new RemoteOptionsError("Log in to etcd: a password is given, but no user name");
  }
  if (options.username !== undefined && options.password === undefined) {
    throw new RemoteOptionsError(`Log in to etcd as "${options.username}": no password is given`);
  }
  if (!(options.requestTimeoutMs > 0)) {
    throw new RemoteOptionsError(`Use a request timeout of ${options.requestTimeoutMs} ms: it must be above 0`);
  }
  return servers;
}

export function parseServer(text: string): ServerAddress {
  const hint = 'write it as "http://host:2379" or "https://host:2379"';
  const url = URL.parse(text);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:") || url.hostname === "") {
    throw new RemoteOptionsError(`Use etcd server "${text}": it is not an address of an etcd; ${hint}`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new RemoteOptionsError(
      `Use etcd server "${url.host}": its address carries a user or a password; etcd_username and etcd_password are for them`,
    );
  }
  if ((url.pathname !== "/" && url.pathname !== "") || url.search !== "" || url.hash !== "") {
    throw new RemoteOptionsError(`Use etcd server "${text}": an address has no path; ${hint}`);
  }
  // URL drops a port that is its scheme's default, which is no default of etcd's.
  const named = /:(\d+)\/?$/.exec(text.trim())?.[1];
  return { url: `${url.protocol}//${url.hostname}:${named ?? DEFAULT_PORT}`, secure: url.protocol === "https:" };
}

function checkTls({ ca, cert, key }: RemoteTls, servers: readonly ServerAddress[]): void {
  if ((cert === undefined) !== (key === undefined)) {
    const [have, lack] = cert === undefined ? ["key", "certificate"] : ["certificate", "key"];
    throw new RemoteOptionsError(`Use a client certificate for etcd: there is a ${have} but no ${lack}`);
  }
  const given = ca ?? cert;
  const plain = servers.find(({ secure }) => !secure);
  if (given !== undefined && plain !== undefined && !servers.some(({ secure }) => secure)) {
    throw new RemoteOptionsError(
      `Use certificates for etcd: server "${plain.url}" is not reached by TLS; write its address with https://`,
    );
  }
  if (ca !== undefined && !holdsCertificate(ca)) {
    throw new RemoteOptionsError("Read the certificate authority for etcd: it is not PEM text of a certificate");
  }
  if (cert !== undefined && key !== undefined) checkPair(cert, key);
}

function checkPair(cert: string, key: string): void {
  switch (pairProblem(cert, key)) {
    case null:
      return;
    case "damaged-certificate":
      throw new RemoteOptionsError("Read the client certificate for etcd: it is not PEM text of a certificate");
    case "damaged-key":
      throw new RemoteOptionsError("Read the client key for etcd: it is not PEM text of a key");
    case "other-key":
      throw new RemoteOptionsError("Use a client certificate for etcd: the key does not belong to it");
  }
}
