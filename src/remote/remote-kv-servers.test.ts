/** Which of several etcds RemoteKv takes, and what it says of those that it passes over. @module */
import { describe, expect, test } from "bun:test";
import { remoteWorlds, until } from "../../test/fakes/remote-world.ts";

const world = remoteWorlds();

describe("which server", () => {
  const unfit: readonly (readonly [
    string,
    Partial<{ version: string; leader: bigint; isLearner: boolean }>,
    string,
  ])[] = [
    ["too old", { version: "3.3.27" }, "it is etcd 3.3.27; 3.4 or later is needed"],
    ["without a leader", { leader: 0n }, "it has no leader"],
    ["a learner", { isLearner: true }, "it is a learner"],
  ];
  for (const [what, is, reason] of unfit) {
    test(`one that is ${what} is passed over, with the reason`, async () => {
      const { servers, open, said, clock } = await world(2);
      Object.assign(servers[0] ?? {}, is);
      const kv = await open();
      await until("the other is found", () => kv.state.connected);
      expect(kv.state.server).toBe(servers[1]?.url ?? "");
      Object.assign(servers[1] ?? {}, is);
      servers[1]?.cut();
      await until("it is lost", () => !kv.state.connected);
      for (let i = 0; i < 6; i++) await clock.advance(1_000);
      await until("both were asked", () => kv.state.reason?.includes(reason) ?? false);
      // Once, not each round.
      expect(said.filter((line) => line.startsWith("Cannot use any etcd server")).length).toBe(1);
      expect(kv.state.version).toBeNull();
    });
  }

  test("of another cluster than the first is refused, however long it stays the only one", async () => {
    const { servers, open, clock } = await world(2);
    const [first, second] = servers;
    if (second !== undefined) second.clusterId = 0x99n;
    const kv = await open();
    expect(await kv.clusterId()).toBe("7");
    await first?.stop();
    await until("it is lost", () => !kv.state.connected);
    await clock.advance(5_000);
    await until("the other was asked", () => kv.state.reason?.includes("cluster") ?? false);
    expect(kv.state.reason).toContain("it belongs to etcd cluster 99, and 7 is in use");
    expect(kv.state.connected).toBe(false);
  });

  test("one that accepts and says nothing delays the next by a moment only", async () => {
    const mute = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const { server, clock, open } = await world();
    const kv = await open({ servers: [`http://127.0.0.1:${mute.port}`, server.url] });
    expect(kv.state.connected).toBe(false);
    await clock.advance(250);
    await until("the second is found", () => kv.state.server === server.url);
    mute.stop(true);
  });

  test("one that speaks HTTP/1.1 is none", async () => {
    const web = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("hello") });
    const { server, open, clock } = await world();
    const kv = await open({ servers: [`http://127.0.0.1:${web.port}`, server.url] });
    for (let i = 0; i < 10 && !kv.state.connected; i++) await clock.advance(250);
    await until("the second is found", () => kv.state.server === server.url);
    await web.stop(true);
  });

  test("state and onChange tell how it stands", async () => {
    const { server, open, clock } = await world();
    const kv = await open();
    const seen: boolean[] = [];
    const stop = kv.onChange(() => seen.push(kv.state.connected));
    await until("connected", () => kv.state.connected);
    expect(kv.state).toEqual({ connected: true, server: server.url, version: "3.5.12", reason: null });
    server.cut();
    await until("lost", () => !kv.state.connected);
    await clock.advance(100);
    await until("connected again", () => kv.state.connected);
    expect(seen).toEqual([true, false, true]);
    stop();
    server.cut();
    await until("lost", () => !kv.state.connected);
    expect(seen.length).toBe(3);
  });
});
