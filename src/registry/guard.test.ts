/**
 * An agent obeys the registry that it belongs to, and no other: lost data and wrong addresses stop nothing.
 *
 * @module
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { machineId, RegistryWorld, registration } from "../../test/fakes/registry-world.ts";
import { SILENT_LOG } from "../lib/log.ts";
import { RegistryGuard, type RegistryMemory } from "./guard.ts";
import { becomeEngine, KvAgentRegistry, type Scheduled } from "./index.ts";

const TTL_MS = 4_000;
let world: RegistryWorld;
beforeEach(async () => {
  world = await new RegistryWorld().start();
});
afterEach(() => world.stop());

let drawn = 0;
class Memory implements RegistryMemory {
  known: string | null = null;
  async remember(name: string): Promise<void> {
    this.known = name;
  }
  draw(): string {
    return `name-${++drawn}`;
  }
}

/** One machine's agent, with what its disk remembers, on this store. */
function agent(memory: Memory, at: RegistryWorld = world): KvAgentRegistry {
  return new KvAgentRegistry(at.kv, at.keys, SILENT_LOG, new RegistryGuard(at.kv, at.keys, memory));
}

async function firstOrders(agents: KvAgentRegistry, id: number): Promise<readonly Scheduled[]> {
  const watch = agents.watchSchedule(machineId(id));
  try {
    for await (const orders of watch) return orders;
  } finally {
    watch.close();
  }
  throw new Error("No orders came");
}

describe("RegistryGuard", () => {
  test("the first machine names the registry, the others learn its name, and both get their orders", async () => {
    const [one, two] = [new Memory(), new Memory()];
    await Promise.all([agent(one).register(registration(1), TTL_MS), agent(two).register(registration(2), TTL_MS)]);
    expect(one.known).toStartWith("name-");
    expect(two.known).toBe(one.known);
    await world.put("a.service", "");
    const session = await becomeEngine(world.kv, world.keys, machineId(9), world.view);
    const job = world.view.job("a.service") ?? expect.unreachable();
    await session.place([{ job, to: machineId(1), reason: "" }], []);
    const again = agent(one);
    await again.register(registration(1), TTL_MS);
    expect(await firstOrders(again, 1)).toMatchObject([{ name: "a.service" }]);
  });

  test("a store that has lost everything is not obeyed, nor written to", async () => {
    const memory = new Memory();
    await agent(memory).register(registration(1), TTL_MS);
    const empty = await new RegistryWorld().start();
    const lost = agent(memory, empty).register(registration(1), TTL_MS);
    await expect(lost).rejects.toMatchObject({ code: "other-registry", message: expect.stringContaining("is empty") });
    expect([await empty.dump(), await empty.local.leases()]).toEqual([{}, []]);
    await empty.stop();
  });

  test("neither is one with another name, until the machine forgets its own", async () => {
    const memory = new Memory();
    await agent(memory).register(registration(1), TTL_MS);
    const other = await new RegistryWorld().start();
    await agent(new Memory(), other).register(registration(2), TTL_MS);
    const stranger = agent(memory, other);
    await expect(stranger.register(registration(1), TTL_MS)).rejects.toThrow("is another one");
    memory.known = null;
    await stranger.register(registration(1), TTL_MS);
    expect(await firstOrders(stranger, 1)).toEqual([]);
    await other.stop();
  });

  test("orders that are read again come with the name, or not at all", async () => {
    const agents = agent(new Memory());
    await agents.register(registration(1), TTL_MS);
    expect(await firstOrders(agents, 1)).toEqual([]);
    // What a new etcd at the same address looks like to a daemon that goes on.
    await world.local.txn({ compare: [], success: [{ op: "delete", ...world.keys.all }], failure: [] });
    await expect(firstOrders(agents, 1)).rejects.toMatchObject({ code: "other-registry" });
  });

  test("a name that cannot be remembered is not acted upon", async () => {
    const memory = new Memory();
    memory.remember = () => Promise.reject(new Error("disk full"));
    await expect(agent(memory).register(registration(1), TTL_MS)).rejects.toThrow("disk full");
    expect(await world.dump()).toEqual({ registry: expect.any(String) });
  });
});
