import { expect, test } from "bun:test";
import { KvCluster, type Member } from "../../test/fakes/kv-cluster.ts";
import { CallError } from "../lib/calls.ts";
import { decodeText, encodeText } from "../lib/text.ts";
import { KvError } from "../store/kv.ts";

/**
 * Clients add to one counter through any member, by compare and put, while leaders are cut off and come back and connections break. Each
 * acknowledged addition must be in the final sum exactly once; one of unknown fate once or not at all.
 */
const SEEDS = 25;
const CLIENTS = 4;
const ADDITIONS = 20;
const KEY = encodeText("counter");

interface Tally {
  acknowledged: number;
  unknown: number;
  refused: number;
}

function randomOf(seed: number): () => number {
  let state = seed * 7_919 + 17;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

const pick = <T>(list: readonly T[], random: () => number): T => list[Math.floor(random() * list.length)] as T;

async function addOnce(member: Member, tally: Tally): Promise<void> {
  try {
    const found = (await member.kv.range({ key: KEY }, { timeoutMs: 1_000 })).kvs[0];
    const sum = Number(found ? decodeText(found.value) : "0");
    const { succeeded } = await member.kv.txn(
      {
        compare: [{ key: KEY, target: "mod", result: "=", value: found?.modRevision ?? 0 }],
        success: [{ op: "put", key: KEY, value: encodeText(`${sum + 1}`) }],
        failure: [],
      },
      { timeoutMs: 600 },
    );
    if (succeeded) tally.acknowledged++;
  } catch (error) {
    if (!(error instanceof KvError)) throw error;
    if (error.code === "unknown-fate") tally.unknown++;
    else if (error.code === "unavailable") tally.refused++;
    else throw error;
  }
}

async function disturb(cluster: KvCluster, random: () => number, busy: () => boolean): Promise<void> {
  while (busy()) {
    const victim = random() < 0.6 ? cluster.leader()?.id : pick([1, 2, 3], random);
    if (victim !== undefined) cluster.isolate(victim);
    await cluster.advance(200 + random() * 2_000);
    cluster.heal();
    await cluster.advance(random() * 800);
  }
}

test("no acknowledged write is lost or done twice while leaders come and go", async () => {
  const total: Tally = { acknowledged: 0, unknown: 0, refused: 0 };
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = randomOf(seed);
    const cluster = new KvCluster();
    await cluster.start();
    cluster.onCall = (stage) => {
      if (stage === "request" && random() < 0.05) throw new CallError("not-sent", "Connection refused");
      if (stage === "reply" && random() < 0.1) throw new CallError("lost", "Connection reset");
    };
    const tally: Tally = { acknowledged: 0, unknown: 0, refused: 0 };
    let working = CLIENTS;
    const client = async () => {
      for (let i = 0; i < ADDITIONS; i++) {
        await addOnce(pick([...cluster.members.values()], random), tally);
        await cluster.advance(random() * 300);
      }
      working--;
    };
    await Promise.all([...Array.from({ length: CLIENTS }, client), disturb(cluster, random, () => working > 0)]);
    const found = (await cluster.follower().kv.range({ key: KEY })).kvs[0];
    const sum = Number(found ? decodeText(found.value) : "0");
    const story = `seed ${seed}: sum ${sum}, ${tally.acknowledged} acknowledged, ${tally.unknown} unknown`;
    expect(sum, story).toBe(found?.version ?? 0);
    expect(sum, story).toBeGreaterThanOrEqual(tally.acknowledged);
    expect(sum, story).toBeLessThanOrEqual(tally.acknowledged + tally.unknown);
    await cluster.until(() => new Set([...cluster.members.values()].map((m) => m.machine.position)).size === 1);
    const hashes = [...cluster.members.values()].map(({ kv }) => kv.store.hash().digest);
    expect(new Set(hashes).size, story).toBe(1);
    for (const name of ["acknowledged", "unknown", "refused"] as const) total[name] += tally[name];
    await cluster.stop();
  }
  // The faults were real, and so was the work.
  expect(total.unknown).toBeGreaterThan(SEEDS);
  expect(total.acknowledged).toBeGreaterThan((SEEDS * ADDITIONS) / 2);
}, 60_000);
