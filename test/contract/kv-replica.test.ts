/** The Kv contract on ReplicaKv, asked on the leader and on a follower. @module */
import { KvCluster, type Member } from "../fakes/kv-cluster.ts";
import { type KvHarness, kvContract } from "./kv.ts";

async function harness(pick: (cluster: KvCluster) => Member): Promise<KvHarness> {
  const cluster = new KvCluster();
  await cluster.start();
  return { kv: pick(cluster).kv, advance: (ms) => cluster.advance(ms), close: () => cluster.stop() };
}

kvContract("ReplicaKv on the leader", () => harness((cluster) => cluster.theLeader()));
kvContract("ReplicaKv on a follower", () => harness((cluster) => cluster.follower()));
kvContract("ReplicaKv alone", async () => {
  const cluster = new KvCluster({ size: 1 });
  await cluster.start();
  return { kv: cluster.theLeader().kv, advance: (ms) => cluster.advance(ms), close: () => cluster.stop() };
});
