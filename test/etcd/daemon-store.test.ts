/**
 * The daemon's store on a real etcd that wants certificates and a password, from the configuration on.
 *
 * @module
 */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../src/config/load.ts";
import { type EtcdStore, openEtcdStore } from "../../src/daemon/etcd-store.ts";
import { type Log, SILENT_LOG } from "../../src/lib/log.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { Keys, RegistryView } from "../../src/registry/index.ts";
import { EtcdServer, HAVE_ETCD } from "./etcd-server.ts";

setDefaultTimeout(30_000);

const PASSWORD = "hunter2-of-root";
const folder = mkdtempSync(join(tmpdir(), "flt-etcd-store-"));
const file = (name: string) => join(folder, name);
let etcd: EtcdServer;
const opened: EtcdStore[] = [];
const said: string[] = [];

async function openssl(...words: readonly string[]): Promise<void> {
  const child = Bun.spawn(["openssl", ...words], { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  if ((await child.exited) !== 0) throw new Error(await child.stderr.text());
}

async function authority(name: string): Promise<void> {
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", file(`${name}.key`)];
  await openssl("req", "-x509", ...key, "-out", file(`${name}.pem`), "-days", "1", "-subj", `/CN=${name}`);
}

async function certificate(name: string): Promise<void> {
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", file(`${name}.key`)];
  await openssl("req", ...key, "-out", file(`${name}.csr`), "-subj", `/CN=${name}`);
  await Bun.write(file(`${name}.ext`), "subjectAltName=IP:127.0.0.1\n");
  const signed = ["-CA", file("ca.pem"), "-CAkey", file("ca.key"), "-CAcreateserial", "-extfile", file(`${name}.ext`)];
  await openssl("x509", "-req", "-in", file(`${name}.csr`), "-out", file(`${name}.pem`), "-days", "1", ...signed);
}

beforeAll(async () => {
  if (!HAVE_ETCD) return;
  await Promise.all([authority("ca"), authority("stranger")]);
  await Promise.all([certificate("server"), certificate("flt")]);
  const tls = { ca: file("ca.pem"), cert: file("server.pem"), key: file("server.key") };
  etcd = await EtcdServer.start({ tls });
  await etcd.ctl("user", "add", `root:${PASSWORD}`);
  await etcd.ctl("user", "grant-role", "root", "root");
  await etcd.ctl("auth", "enable");
});
afterEach(async () => {
  for (const store of opened.splice(0)) await store.stop();
});
afterAll(async () => {
  await etcd?.remove();
  rmSync(folder, { recursive: true });
});

const note = (level: string) => (message: string, fields?: unknown) =>
  void said.push(`${level}: ${message} ${JSON.stringify(fields ?? {})}`);
const LOG: Log = {
  ...SILENT_LOG,
  debug: note("debug"),
  info: note("info"),
  notice: note("notice"),
  warning: note("warning"),
  error: note("error"),
};

async function open(changes: Readonly<Record<string, string>> = {}): Promise<EtcdStore> {
  const options = {
    servers: `https://127.0.0.1:1,${etcd.url}`,
    cafile: file("ca.pem"),
    certfile: file("flt.pem"),
    keyfile: file("flt.key"),
    username: "root",
    password: PASSWORD,
    ...changes,
  };
  const { config } = loadConfig({
    argv: Object.entries(options).map(([name, value]) => `--etcd-${name}=${value}`),
    env: {},
    readFile: () => null,
    argv0Name: "flt",
    user: { uid: 0, home: "/root" },
  });
  const store = await openEtcdStore(config, null, LOG);
  opened.push(store);
  await store.start(new Map());
  return store;
}

/** What an operator reads while the store cannot be used; waits until there is something to read. */
async function troubleOf(store: EtcdStore): Promise<string> {
  await store.kv.range({ key: new Uint8Array([1]) }).then(
    () => Promise.reject(new Error("The store can be used")),
    () => {},
  );
  return store.trouble ?? expect.unreachable("nothing is wrong");
}

describe.skipIf(!HAVE_ETCD)("a daemon's store on a real etcd", () => {
  test("certificates, a user and a server that is away: the first that answers is the store, and elects an engine", async () => {
    const [one, two] = [await open(), await open()];
    const { kv } = one;
    const keys = new Keys();
    const view = new RegistryView({ kv, keys, clock: systemClock, log: SILENT_LOG });
    await view.start();
    const end = new AbortController();
    const candidate = (store: EtcdStore, digit: string) => ({
      kv: store.kv,
      keys,
      view,
      machineId: digit.repeat(32),
      identity: `identity-${digit}`,
      signal: end.signal,
      onLost: (why: string) => void said.push(why),
    });
    const first = await one.takeOffice(candidate(one, "1"));
    const second = two.takeOffice(candidate(two, "2"));
    await first.session.explain(new Map());
    const begin = performance.now();
    await first.resign();
    const successor = await second;
    expect(performance.now() - begin).toBeLessThan(1_500);
    const write = new Map([["a.service", [{ machineId: "", reason: "none" }]]]);
    await expect(first.session.explain(write)).rejects.toMatchObject({ code: "not-leader" });
    await successor.session.explain(write);
    await successor.resign();
    expect(one.trouble).toBeNull();
    await view.stop();
  });

  test("what is wrong is said, and no secret", async () => {
    const password = await troubleOf(await open({ password: "guessed" }));
    expect(password).toContain("authentication failed");
    expect(await troubleOf(await open({ cafile: file("stranger.pem") }))).toMatch(/certificate|self.signed|issuer/i);
    expect(
      await troubleOf(await open({ servers: etcd.url.replace("https", "http"), username: "", password: "" })),
    ).toContain(etcd.url.replace("https", "http"));
    const all = said.join("\n");
    expect(all).not.toContain(PASSWORD);
    expect(all).not.toContain("guessed");
    expect(all).not.toContain("PRIVATE KEY");
  });
});
