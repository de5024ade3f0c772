import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { certificates } from "../../test/etcd/certificates.ts";
import { ManualClock } from "../../test/fakes/manual-clock.ts";
import { SILENT_LOG } from "../lib/log.ts";
import { openRemoteKv, RemoteOptionsError } from "./index.ts";
import { checkOptions, parseServer, type RemoteKvOptions } from "./options.ts";
import { ordersProgress } from "./session.ts";

const base: RemoteKvOptions = {
  servers: ["http://127.0.0.1:2379"],
  requestTimeoutMs: 1_000,
  clock: new ManualClock(),
  log: SILENT_LOG,
};

function refusal(options: Partial<RemoteKvOptions>): string {
  try {
    checkOptions({ ...base, ...options });
  } catch (error) {
    if (error instanceof RemoteOptionsError) return error.message;
    throw error;
  }
  return "none";
}

describe("servers", () => {
  test("are addresses with a scheme; etcd's port is the default, also where the scheme has one", () => {
    const urls = {
      "http://127.0.0.1:2379": "http://127.0.0.1:2379",
      "http://127.0.0.1:4001/": "http://127.0.0.1:4001",
      "https://etcd.example": "https://etcd.example:2379",
      "https://etcd.example:443": "https://etcd.example:443",
      "http://etcd.example:80": "http://etcd.example:80",
      "HTTP://[::1]:2379": "http://[::1]:2379",
      " http://10.0.0.1:2379 ": "http://10.0.0.1:2379",
    };
    for (const [text, url] of Object.entries(urls)) expect(parseServer(text).url).toBe(url);
    expect(parseServer("https://a").secure).toBe(true);
  });

  test("that are none are refused, with what to write", () => {
    const hint = 'write it as "http://host:2379" or "https://host:2379"';
    expect(refusal({ servers: [] })).toBe("Use an etcd as the store: no server is named");
    for (const text of ["", "127.0.0.1:2379", "host", "unix:///run/etcd.sock", "http://", "http://a:99999"]) {
      expect(refusal({ servers: [text] })).toBe(`Use etcd server "${text}": it is not an address of an etcd; ${hint}`);
    }
    expect(refusal({ servers: ["http://a:1/v2/keys"] })).toContain("an address has no path");
  });

  test("with a password in them are refused without showing it", () => {
    const message = refusal({ servers: ["http://me:s3cret@a:2379"] });
    expect(message).toContain('Use etcd server "a:2379": its address carries a user or a password');
    expect(message).not.toContain("s3cret");
  });
});

describe("certificates", () => {
  let directory = "";
  const pem = (name: string) => Bun.file(`${directory}/${name}`).text();
  beforeAll(async () => {
    directory = await mkdtemp(`${tmpdir()}/flt-remote-`);
    await certificates(directory);
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  test("come in pairs, are PEM and fit each other", async () => {
    const servers = ["https://a:2379"];
    const [ca, cert, key, other] = await Promise.all([
      pem("ca.crt"),
      pem("client.crt"),
      pem("client.key"),
      pem("server.key"),
    ]);
    const tls = (given: object) => refusal({ servers, tls: given });
    expect(tls({ ca, cert, key })).toBe("none");
    expect(tls({ cert })).toBe("Use a client certificate for etcd: there is a certificate but no key");
    expect(tls({ key })).toBe("Use a client certificate for etcd: there is a key but no certificate");
    expect(tls({ cert, key: other })).toBe("Use a client certificate for etcd: the key does not belong to it");
    expect(tls({ ca: "text" })).toStartWith(
      "Read the certificate authority for etcd: it is not PEM text of a certificate",
    );
    expect(tls({ cert: key, key })).toStartWith("Read the client certificate for etcd: it is not PEM");
    expect(tls({ cert, key: cert })).toStartWith("Read the client key for etcd: it is not PEM text of a key");
    expect(refusal({ tls: { ca } })).toContain('server "http://127.0.0.1:2379" is not reached by TLS');
    expect(refusal({ servers: ["http://a:1", "https://a:2"], tls: { ca } })).toBe("none");
  });
});

test("user and password go together; a timeout is above zero", () => {
  expect(refusal({ password: "p" })).toBe("Log in to etcd: a password is given, but no user name");
  expect(refusal({ username: "u" })).toBe('Log in to etcd as "u": no password is given');
  for (const requestTimeoutMs of [0, -1, Number.NaN]) {
    expect(refusal({ requestTimeoutMs })).toContain("it must be above 0");
  }
});

test("openRemoteKv() refuses before it dials, and needs no server to be up", async () => {
  await expect(openRemoteKv({ ...base, servers: ["nonsense"] })).rejects.toBeInstanceOf(RemoteOptionsError);
  const kv = await openRemoteKv({ ...base, servers: ["http://127.0.0.1:1"] });
  expect(kv.state).toMatchObject({ connected: false, server: null });
  await kv.close();
});

test("which etcds keep progress in its place", () => {
  const versions = { "3.4.0": false, "3.4.23": false, "3.4.25": true, "3.4.37": true, "3.5.0": false, "3.5.7": false };
  for (const [version, orders] of Object.entries(versions))
    expect([version, ordersProgress(version)]).toEqual([version, orders]);
  for (const version of ["3.5.8", "3.5.21+git", "3.6.0-rc.1", "3.6.4", "4.0.0"])
    expect(ordersProgress(version)).toBe(true);
});
