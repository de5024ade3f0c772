/**
 * Where flt listens, as a user writes it: unix:///run/flt.sock, http://host:port, https://host:port.
 *
 * @module
 */
import { ClientError } from "./errors.ts";

export const DEFAULT_ENDPOINT = "unix:///run/flt.sock";

export interface Endpoint {
  /** As the user wrote it, for messages. */
  readonly text: string;
  /** Scheme, host and port of the requests' URLs, without a trailing slash. */
  readonly origin: string;
  /** Path of the unix socket, when it is one. */
  readonly socketPath?: string;
}

/** fleet's clients took a list of endpoints and used its first: so does this. */
export function parseEndpoint(text: string): Endpoint {
  const first = (text.split(",", 1)[0] ?? "").trim();
  if (first.startsWith("unix://")) return unixEndpoint(first, first.slice("unix://".length));
  if (first.startsWith("/")) return unixEndpoint(first, first);
  const withScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(first) ? first : `http://${first}`;
  const url = URL.canParse(withScheme) ? new URL(withScheme) : null;
  if (url === null || first === "" || !["http:", "https:"].includes(url.protocol) || url.hostname === "") {
    throw badEndpoint(first, "it is neither unix:///PATH nor http://HOST:PORT nor https://HOST:PORT");
  }
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "" || url.username !== "") {
    throw badEndpoint(first, "only a host and a port may follow the scheme");
  }
  return { text: first, origin: url.origin };
}

function unixEndpoint(text: string, path: string): Endpoint {
  if (!path.startsWith("/") || path === "/") throw badEndpoint(text, "unix:// must be followed by an absolute path");
  return { text, origin: "http://localhost", socketPath: path };
}

function badEndpoint(text: string, why: string): ClientError {
  return new ClientError("bad-endpoint", `Cannot use endpoint "${text}": ${why}`);
}
