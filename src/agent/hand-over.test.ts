/**
 * Hand-over: what does not stop in time, with and without a fence.
 *
 * @module
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { AgentWorld, FENCED, SELF, SLEEP, SLOW_STOP } from "../../test/fakes/agent-world.ts";

const FENCED_SLOW_STOP = `${SLOW_STOP}\n[X-Flt]\nFence=strict\n`;
/** As test/fakes/agent-world.ts configures it. */
const HAND_OVER_MS = 10_000;
const TTL_MS = 4_000;

let world: AgentWorld;
beforeEach(async () => {
  world = await AgentWorld.make();
  await world.start();
});
afterEach(() => world.close());

function activeOf(name: string): string {
  return world.systemd.condition(name).active;
}

/** What a unit is when its machine has left, or when `ms` are over. */
async function leaveWithin(ms: number, name: string): Promise<{ readonly active: string; readonly atMs: number }> {
  const beganAtMs = world.registry.clock.now();
  const stopping = world.agent.stop({ handOver: true });
  while (world.isRegistered && world.registry.clock.now() < beganAtMs + ms) await world.run(100);
  const seen = { active: activeOf(name), atMs: world.registry.clock.now() - beganAtMs };
  await world.run(ms);
  await stopping;
  return seen;
}

test("a fenced unit whose stop takes too long is killed before this machine leaves", async () => {
  await world.schedule("slow.service", FENCED_SLOW_STOP);
  const { active, atMs } = await leaveWithin(HAND_OVER_MS + 1_000, "slow.service");
  expect(active).toBe("inactive");
  expect(atMs).toBeLessThanOrEqual(HAND_OVER_MS);
  expect(world.systemd.names).toEqual([]);
  expect(world.registry.view.job("slow.service")?.machine).toBeNull();
});

test("without a fence it is left to systemd, which takes the time it takes", async () => {
  await world.schedule("slow.service", SLOW_STOP);
  await world.schedule("a.service", FENCED);
  const { active } = await leaveWithin(HAND_OVER_MS + 1_000, "slow.service");
  expect(active).toBe("deactivating");
  expect(world.isRegistered).toBe(false);
});

test("fenced units that stop in time are not hurried", async () => {
  await world.schedule("a.service", FENCED);
  await world.schedule("b.service", SLEEP);
  const { atMs } = await leaveWithin(HAND_OVER_MS, "a.service");
  expect(atMs).toBeLessThanOrEqual(100);
  expect(world.systemd.orders.filter((order) => order.startsWith("unload"))).toEqual([
    "unload a.service",
    "unload b.service",
  ]);
});

test("what became of it is not known: this machine does not leave, is lost, and the others count from there", async () => {
  await world.schedule("slow.service", FENCED_SLOW_STOP);
  const stopping = world.agent.stop({ handOver: true });
  await world.run(1_000);
  world.systemd.disconnect();
  await world.run(HAND_OVER_MS);
  await stopping;
  expect(world.isRegistered).toBe(true);
  await world.run(TTL_MS);
  expect(world.isRegistered).toBe(false);
  expect([...world.registry.view.away()]).toEqual([SELF]);
  expect(world.registry.view.job("slow.service")?.machine).toBe(SELF);
  expect(activeOf("slow.service")).toBe("failed");
});
