/**
 * A member that has lost raft's lead does not take the engine's office from its successor.
 *
 * @module
 */
import { afterEach, expect, test } from "bun:test";
import { KvCluster, type Member } from "../../test/fakes/kv-cluster.ts";
import { machineId } from "../../test/fakes/registry-world.ts";
import { SILENT_LOG } from "../lib/log.ts";
import { Keys, RegistryView } from "../registry/index.ts";
import { takeRaftOffice } from "./raft-office.ts";

const keys = new Keys();
const cluster = new KvCluster();
afterEach(() => cluster.stop());

function claim({ id, kv }: Member, signal: AbortSignal) {
  const view = new RegistryView({ kv, keys, clock: cluster.clock, log: SILENT_LOG });
  return takeRaftOffice({ kv, keys, view, machineId: machineId(id), signal });
}

async function holder(): Promise<number | undefined> {
  const { kvs } = await cluster.theLeader().kv.range({ key: keys.leader });
  return kvs[0]?.modRevision;
}

test("its claim ends with its lead, and is not sent on to whoever leads now", async () => {
  await cluster.start();
  const former = cluster.theLeader();
  cluster.isolate(former.id);
  await cluster.until(() => former.raft.role !== "leader" && cluster.leader() !== undefined);
  await claim(cluster.theLeader(), new AbortController().signal);
  const before = await holder();
  const giveUp = new AbortController();
  // Raft has stepped down, and its word is on its way.
  const late = claim(former, giveUp.signal).catch((error: unknown) => error);
  giveUp.abort();
  cluster.heal();
  expect(await late).toMatchObject({ code: "cancelled" });
  await cluster.advance(2_000);
  expect(before).toBeGreaterThan(0);
  expect(await holder()).toBe(before);
});
