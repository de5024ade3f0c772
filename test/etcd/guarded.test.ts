/** RemoteKv and an etcd that asks who calls: TLS, users, roles. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { encodeText } from "../../src/lib/text.ts";
import { prefixEnd } from "../../src/store/kv.ts";
import { expectRefused, takeBatches } from "../contract/kv/room.ts";
import { put } from "../fakes/remote-world.ts";
import { certificates } from "./certificates.ts";
import { atEnd, endAll, etcd, KEY, open, when } from "./connections.ts";
import { HAVE_ETCD } from "./etcd-server.ts";

setDefaultTimeout(60_000);
afterEach(endAll);
const prefix = (text: string) => ({ key: encodeText(text), end: prefixEnd(encodeText(text)) });

describe.skipIf(!HAVE_ETCD)("guarded", () => {
  test("TLS with an authority of one's own and a client certificate; each thing that is wrong is named", async () => {
    const directory = await mkdtemp(`${tmpdir()}/flt-etcd-tls-`);
    atEnd(() => rm(directory, { recursive: true }));
    const file = (name: string) => `${directory}/${name}`;
    await certificates(directory);
    const server = await etcd({ tls: { ca: file("ca.crt"), cert: file("server.crt"), key: file("server.key") } });
    const read = (name: string) => Bun.file(file(name)).text();
    const [ca, cert, key] = (await Promise.all(["ca.crt", "client.crt", "client.key"].map(read))) as [
      string,
      string,
      string,
    ];
    const kv = await open([server], { tls: { ca, cert, key } });
    await kv.txn(put("a"));
    const watch = kv.watch({ ...KEY, startRevision: 1 });
    expect((await takeBatches(watch, 1)).length).toBe(1);
    const stranger = await open([server], { tls: { cert, key }, requestTimeoutMs: 500 });
    expect((await expectRefused(stranger.range(KEY), "unavailable")).message).toMatch(/certificate|issuer/i);
    const nobody = await open([server], { tls: { ca }, requestTimeoutMs: 500 });
    await expectRefused(nobody.range(KEY), "unavailable");
    const elsewhere = await open([], {
      tls: { ca, cert, key },
      requestTimeoutMs: 500,
      servers: [`https://127.0.0.2:${server.port}`],
    });
    await expectRefused(elsewhere.range(KEY), "unavailable");
  });

  test("user and password: also after etcd forgot the token, and with a role that may not do everything", async () => {
    const server = await etcd();
    const root = ["--user=root:r00t"];
    await server.ctl("user", "add", "root:r00t");
    await server.ctl("user", "add", "flt:pass:word");
    await server.ctl("role", "add", "flt");
    await server.ctl("role", "grant-permission", "flt", "--prefix=true", "readwrite", "/flt/");
    await server
      .ctl("user", "grant-role", "root", "root")
      .catch(() => server.ctl("role", "add", "root").then(() => server.ctl("user", "grant-role", "root", "root")));
    await server.ctl("user", "grant-role", "flt", "flt");
    await server.ctl("auth", "enable");
    const kv = await open([server], { username: "flt", password: "pass:word" });
    await kv.txn(put("/flt/a"));
    const watch = kv.watch(prefix("/flt/"));
    await watch.ready;
    const compare = [{ key: encodeText("/flt/a"), target: "version", result: ">", value: 0 } as const];
    expect((await kv.txn({ compare, success: [], failure: [] })).succeeded).toBe(true);
    expect((await expectRefused(kv.txn(put("/other")), "unavailable")).message).toBe(
      "Transaction failed: etcd says: permission denied",
    );
    await expectRefused(kv.watch(prefix("/other")).ready, "unavailable");
    // Tokens live in its memory.
    await server.stop();
    await server.up();
    await when(kv, () => kv.state.connected);
    await kv.txn(put("/flt/a", "2"));
    // A change of roles makes tokens of before stale.
    await server.ctl(...root, "role", "grant-permission", "flt", "--prefix=true", "read", "/more/");
    await kv.txn(put("/flt/a", "3"));
    await kv.watch(prefix("/more/")).ready;
    const wrong = await open([server], { username: "flt", password: "other", requestTimeoutMs: 500 });
    const refusal = await expectRefused(wrong.range({ key: encodeText("/flt/a") }), "unavailable");
    expect(refusal.message).toContain("authentication failed, invalid user ID or password");
    const without = await open([server], { requestTimeoutMs: 500 });
    await expectRefused(without.range({ key: encodeText("/flt/a") }), "unavailable");
  });
});
