/**
 * Addresses as an operator writes them, checked and brought into one form.
 *
 *   peers   10.0.0.1:2380, host7.example:2380, [fd00::1]:2380; the port may be left out
 *   API     unix:///run/flt.sock, http://127.0.0.1:8080, http://[::1]:8080
 *   etcd    http://127.0.0.1:2379, https://etcd-1.example:2379
 *
 * Idea. A missing host never becomes "all interfaces": whoever wants that writes 0.0.0.0 or [::], and is warned.
 *
 * Invariant. Two texts that name the same address come out as the same text, so that they can be compared.
 *
 * @module
 */
import { shortened } from "../lib/text.ts";
import { ValueError } from "./value-error.ts";

export const DEFAULT_PEER_PORT = 2380;
/** sun_path is 108 bytes long, the last one is a zero (unix(7)). */
const SOCKET_PATH_MAX_BYTES = 107;
const HOST_PORT = /^(?:\[([^\]]*)\]|([^:]*))(?::([^:]*))?$/;
const HOST_LABEL = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/** "host:port" in its one form. Throws ValueError. */
export function parsePeerAddress(text: string): string {
  return hostPort(text, DEFAULT_PEER_PORT, listenAdvice);
}

/** "unix:///path" or "http://host:port" in its one form. Throws ValueError. */
export function parseApiAddress(text: string): string {
  if (text.startsWith("/")) {
    return `unix://${socketPath(text, text)}`;
  }
  if (text.startsWith("unix:")) {
    return `unix://${socketPath(text, text.replace(/^unix:(?:\/\/)?/, ""))}`;
  }
  if (text.startsWith("https:")) {
    throw new ValueError(
      `${quote(text)} asks for TLS, which the API does not speak. Put a TLS proxy before its socket`,
    );
  }
  const rest = /^http:\/\/([^/]*)\/?$/.exec(text)?.[1];
  if (rest === undefined) {
    throw new ValueError(`${quote(text)} is neither unix:///PATH nor http://ADDRESS:PORT`);
  }
  return `http://${hostPort(rest, undefined, listenAdvice)}`;
}

/** "http://host:port" or "https://host:port" in its one form. Throws ValueError. */
export function parseEtcdServer(text: string): string {
  const [, scheme, rest] = /^(https?):\/\/([^/]*)\/*$/i.exec(text) ?? [];
  if (scheme === undefined || rest === undefined) {
    throw new ValueError(`${quote(text)} is neither http://ADDRESS:PORT nor https://ADDRESS:PORT`);
  }
  if (rest.includes("@")) {
    throw new ValueError("an address in it carries a user or a password. etcd_username and etcd_password are for them");
  }
  return `${scheme.toLowerCase()}://${hostPort(rest, undefined, etcdAdvice)}`;
}

/** An IP address or a host name, without port. Throws ValueError. */
export function parseHost(text: string): string {
  const host = normalHost(text.replace(/^\[(.*)\]$/, "$1"));
  if (host === undefined) {
    throw new ValueError(`${quote(text)} is neither an IP address nor a host name`);
  }
  return host;
}

/** Of a text that parsePeerAddress gave: whether it names every interface. */
export function isWildcard(address: string): boolean {
  return /^(?:http:\/\/)?(?:0\.0\.0\.0|\[::\]):/.test(address);
}

/** Of a text that parseApiAddress gave: whether only this host can reach it. */
export function isLocalApi(address: string): boolean {
  return address.startsWith("unix:") || /^http:\/\/(?:127\.[\d.]+|localhost|\[::1\]):/.test(address);
}

/** What to write where an address is missing. */
type Advice = (port: string) => string;
const listenAdvice: Advice = (port) => `Write one, such as 127.0.0.1:${port}, or 0.0.0.0:${port} for every interface`;
const etcdAdvice: Advice = (port) => `Write that of a server of the etcd, such as 10.0.0.5:${port}`;

function hostPort(text: string, defaultPort: number | undefined, advice: Advice): string {
  const match = HOST_PORT.exec(text);
  if (match === null) {
    const hint = text.split(":").length > 2 ? ". An IPv6 address stands in brackets: [fd00::1]:2380" : "";
    throw new ValueError(`${quote(text)} is not of the form host:port${hint}`);
  }
  const [, bracketed, bare, portText] = match;
  const written = bracketed ?? bare ?? "";
  if (written === "") {
    throw new ValueError(`${quote(text)} names no address. ${advice(portText || "PORT")}`);
  }
  const host = normalHost(written);
  if (host === undefined || host.includes(":") !== (bracketed !== undefined)) {
    throw new ValueError(`${quote(written)} in ${quote(text)} is neither an IP address nor a host name`);
  }
  return `${bracketed === undefined ? host : `[${host}]`}:${portNumber(text, portText, defaultPort)}`;
}

function portNumber(text: string, portText: string | undefined, defaultPort: number | undefined): number {
  if (portText === undefined && defaultPort !== undefined) {
    return defaultPort;
  }
  const port = /^\d{1,5}$/.test(portText ?? "") ? Number(portText) : 0;
  if (port < 1 || port > 65_535) {
    throw new ValueError(`${quote(text)} needs a port from 1 to 65535 after its last ":"`);
  }
  return port;
}

/** Lower case, IPv6 in its shortest form; undefined for what names no host. */
function normalHost(text: string): string | undefined {
  const host = text.toLowerCase();
  if (host.includes(":")) {
    // URL knows IPv6's forms; a zone ("%eth0") it does not, and neither does a cluster-wide list.
    const url = URL.canParse(`http://[${host}]/`) ? new URL(`http://[${host}]/`).hostname : undefined;
    return url?.slice(1, -1);
  }
  const labels = host.split(".");
  const isNumeric = /^[\d.]+$/.test(host);
  const isName = !isNumeric && host.length <= 253 && labels.every((label) => HOST_LABEL.test(label));
  return IPV4.test(host) || isName ? host : undefined;
}

function socketPath(text: string, path: string): string {
  if (!path.startsWith("/") || path.endsWith("/") || /[\0-\x1f\x7f]/.test(path)) {
    throw new ValueError(`${quote(text)} needs the absolute path of a socket, as in unix:///run/flt.sock`);
  }
  if (Buffer.byteLength(path) > SOCKET_PATH_MAX_BYTES) {
    throw new ValueError(`${quote(text)} is too long: the path of a socket has at most ${SOCKET_PATH_MAX_BYTES} bytes`);
  }
  return path;
}

function quote(text: string): string {
  return JSON.stringify(shortened(text));
}
