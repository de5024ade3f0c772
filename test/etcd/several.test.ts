/** RemoteKv and several etcds, of which one is killed, silent, or without the others. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { SILENT_LOG } from "../../src/lib/log.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { Keys, RegistryView } from "../../src/registry/index.ts";
import { KvError } from "../../src/store/kv.ts";
import { expectRefused } from "../contract/kv/room.ts";
import { put } from "../fakes/remote-world.ts";
import { atEnd, codeOf, endAll, KEY, open, when } from "./connections.ts";
import { EtcdServer, HAVE_ETCD } from "./etcd-server.ts";

setDefaultTimeout(60_000);
afterEach(endAll);

async function isLeader(server: EtcdServer): Promise<boolean> {
  const [answer] = JSON.parse(await server.ctl("endpoint", "status", "--write-out=json"));
  return answer.Status.leader === answer.Status.header.member_id;
}

describe.skipIf(!HAVE_ETCD)("several etcds", () => {
  test("the next one is taken when one is killed, or only silent", async () => {
    const servers = await EtcdServer.startCluster(3);
    atEnd(async () => void (await Promise.all(servers.map((server) => server.remove()))));
    const kv = await open(servers);
    await when(kv, () => kv.state.connected);
    await kv.txn(put("a"));
    const first = servers.find(({ url }) => url === kv.state.server);
    await first?.kill();
    const beganMs = performance.now();
    while ((await codeOf(kv.txn(put("a", "2")))) !== "done") await Bun.sleep(20);
    expect(performance.now() - beganMs).toBeLessThan(10_000);
    await first?.up();
    const second = servers.find(({ url }) => url === kv.state.server);
    expect(second).not.toBe(first);
    second?.pause();
    const lease = await kv.leaseGrant({ ttlMs: 5_000 }, { timeoutMs: 500 }).catch((error: unknown) => error);
    expect(lease).toBeInstanceOf(KvError);
    await when(kv, () => kv.state.server !== second?.url && kv.state.connected);
    while ((await codeOf(kv.txn(put("a", "3")))) !== "done") await Bun.sleep(20);
    second?.resume();
  });

  test("the leader is killed: who has time reads on through the election, and no write is turned away", async () => {
    // An election takes up to a second then, and several when two candidates split its votes: etcd's luck is not what is tested.
    const patient = { timeoutMs: 20_000 };
    const servers = await EtcdServer.startCluster(3, { flags: ["--election-timeout=500", "--heartbeat-interval=50"] });
    atEnd(async () => void (await Promise.all(servers.map((server) => server.remove()))));
    const leads = await Promise.all(servers.map(isLeader));
    const leader = servers[leads.indexOf(true)];
    const kv = await open(
      servers.filter((server) => server !== leader),
      { requestTimeoutMs: 250 },
    );
    // As the API reads.
    const view = new RegistryView({ kv, keys: new Keys(), clock: systemClock, log: SILENT_LOG });
    atEnd(() => view.stop());
    await view.start();
    await leader?.kill();
    const calls: Promise<string>[] = [];
    for (let i = 0; i < 10; i++) {
      calls.push(codeOf(view.sync(patient)));
      calls.push(codeOf(kv.txn(put(`b${i}`), patient)).then((code) => code.replace("unknown-fate", "done")));
      await Bun.sleep(100);
    }
    expect(new Set(await Promise.all(calls))).toEqual(new Set(["done"]));
  });

  test("a member that lost its majority says so: watches end, and it is not taken again before it has a leader", async () => {
    const servers = await EtcdServer.startCluster(3);
    atEnd(async () => void (await Promise.all(servers.map((server) => server.remove()))));
    const [left, ...others] = servers as [EtcdServer, ...EtcdServer[]];
    const kv = await open([left], { requestTimeoutMs: 1_000 });
    await kv.txn(put("a"));
    const watch = kv.watch(KEY);
    await watch.ready;
    await Promise.all(others.map((server) => server.kill()));
    await expectRefused(watch[Symbol.asyncIterator]().next(), "unavailable");
    await when(kv, () => kv.state.reason?.includes("it has no leader") ?? false);
    const refusal = await expectRefused(kv.txn(put("a", "2")), "unavailable");
    expect(refusal.message).toContain("it has no leader: its cluster has no quorum, or is electing");
    await Promise.all(others.map((server) => server.up()));
    await when(kv, () => kv.state.connected);
    while ((await codeOf(kv.txn(put("a", "3")))) !== "done") await Bun.sleep(20);
  });
});
