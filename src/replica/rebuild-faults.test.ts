import { expect, test } from "bun:test";
import { KvCluster, type Member } from "../../test/fakes/kv-cluster.ts";
import { encodeText } from "../lib/text.ts";
import type { Command } from "../store/command.ts";
import { digestText } from "../store/digest.ts";
import { KvError } from "../store/kv.ts";

/**
 * Members apply a command wrongly now and then, while clients write, links break, members restart and logs are cut to snapshots. Whatever
 * comes of it, once it is quiet every member must hold the same, and all that it holds, and serve it.
 */
const SEEDS = 5;
const DAMAGES = 4;
const DAMAGE_EVERY_MS = 4_000;

function randomOf(seed: number): () => number {
  let state = seed * 7_919 + 17;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

const pick = <T>(list: readonly T[], random: () => number): T => list[Math.floor(random() * list.length)] as T;

function put(key: string, value: string): Extract<Command, { readonly kind: "txn" }> {
  const success = [{ op: "put", key: encodeText(key), value: encodeText(value) }] as const;
  return { kind: "txn", request: { compare: [], success, failure: [] } };
}

/** The next command is left out, done twice, or another one. */
function misapply({ machine: { store } }: Member, random: () => number): void {
  const apply = store.apply.bind(store);
  store.apply = (command) => {
    store.apply = apply;
    if (random() < 0.3) return apply({ kind: "txn", request: { compare: [], success: [], failure: [] } });
    if (random() < 0.5) apply(command);
    return apply(put(`wrong${Math.floor(random() * 5)}`, "wrong"));
  };
}

async function write(cluster: KvCluster, random: () => number, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    const member = pick([...cluster.members.values()], random);
    const { request } = put(`k${Math.floor(random() * 30)}`, `${random()}`);
    await member.kv.txn(request, { timeoutMs: 800 }).catch((error: unknown) => {
      if (!(error instanceof KvError)) throw error;
    });
    await cluster.advance(random() * 60);
  }
}

async function disturb(cluster: KvCluster, random: () => number, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    const victim = pick([...cluster.members.keys()], random);
    if (random() < 0.5) {
      cluster.isolate(victim);
      await cluster.advance(random() * 2_000);
      cluster.heal();
    } else {
      await cluster.halt(victim);
      await cluster.advance(random() * 1_000);
      await cluster.boot(victim);
    }
    await cluster.advance(random() * 2_000);
  }
}

function isWhole(cluster: KvCluster): boolean {
  const members = [...cluster.members.values()];
  const digests = new Set(members.map(({ machine }) => digestText(machine.store.digest)));
  return digests.size === 1 && members.every(({ kv }) => kv.health.trust.reason === null);
}

test("members that applied something wrongly are whole again, whatever goes on beside it", async () => {
  let rebuilds = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = randomOf(seed);
    const config = { hashCheckMs: 700, scrubMs: 1_500, keepRevisions: 40 };
    const cluster = new KvCluster({ config, snapshotLogEntries: 25 });
    await cluster.start();
    let left = DAMAGES;
    const isOver = () => left === 0;
    const damage = async () => {
      while (left > 0) {
        // Two at once would be too many to tell who is right.
        await cluster.until(() => cluster.members.size === 3 && isWhole(cluster));
        misapply(pick([...cluster.members.values()], random), random);
        await cluster.advance(DAMAGE_EVERY_MS);
        left--;
      }
    };
    await Promise.all([write(cluster, random, isOver), disturb(cluster, random, isOver), damage()]);
    cluster.heal();
    await cluster.until(() => isWhole(cluster)).catch(() => undefined);
    expect(isWhole(cluster), `seed ${seed}`).toBe(true);
    const hashes = [...cluster.members.values()].map(({ machine }) => machine.store.hash());
    expect(hashes, `seed ${seed}`).toEqual(hashes.map(() => hashes[0] as never));
    for (const { kv } of cluster.members.values()) {
      await kv.range({ key: encodeText("k1") });
      rebuilds += kv.health.trust.rebuilds;
    }
    expect(cluster.hopeless).toEqual([]);
    await cluster.stop();
  }
  expect(rebuilds).toBeGreaterThan(SEEDS / 2);
}, 60_000);
