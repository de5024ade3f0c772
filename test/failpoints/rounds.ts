/**
 * One point's rounds: hit a member there while others write, look at its disk, start it again, and compare everything.
 *
 * What must hold after each round.
 * - The dead member's disk holds what its port had promised, exactly.
 * - The member starts, and so do all when all were killed with it: every second round, so that no other member can make up for a loss.
 * - Each acknowledged write is there, in every member; all keyspaces have one hash.
 * What became of the process itself is the scenario's to check.
 *
 * @module
 */
import { eventually } from "../hosts/lib/wait.ts";
import type { SeededRandom } from "../sim/random.ts";
import { type Member, TestCluster } from "./cluster.ts";
import type { Point } from "./points.ts";
import { brokenPromise } from "./promises.ts";
import type { Round } from "./scenarios.ts";
import { Writers } from "./writers.ts";

export interface Outcome {
  readonly point: Point;
  rounds: number;
  killed: number;
  restarted: number;
  acknowledged: number;
  slowestStartMs: number;
  /** What did not hold, one line each. */
  readonly wrong: string[];
}

const EQUAL_MS = 30_000;

export class Rounds {
  readonly #executable: string;
  readonly #random: SeededRandom;
  #cluster: TestCluster | null = null;
  #writers: Writers | null = null;

  constructor(executable: string, random: SeededRandom) {
    this.#executable = executable;
    this.#random = random;
  }

  async run(point: Point, rounds: number, signal?: AbortSignal): Promise<Outcome> {
    const outcome: Outcome = {
      point,
      rounds: 0,
      killed: 0,
      restarted: 0,
      acknowledged: 0,
      slowestStartMs: 0,
      wrong: [],
    };
    for (let number = 0; number < rounds && outcome.wrong.length === 0 && !signal?.aborted; number++) {
      outcome.rounds += 1;
      try {
        await this.#round(point, number, outcome);
      } catch (error) {
        outcome.wrong.push(error instanceof Error ? error.message : String(error));
        outcome.wrong.push(...((await this.#cluster?.describe()) ?? []));
      }
    }
    // What went wrong here, or was damaged, is not to be held against the next point.
    if (outcome.wrong.length > 0 || point.isDamaged) await this.end();
    return outcome;
  }

  async end(): Promise<void> {
    await this.#writers?.end();
    await this.#cluster?.remove();
    this.#cluster = null;
    this.#writers = null;
  }

  async #round(point: Point, number: number, outcome: Outcome): Promise<void> {
    const round = await this.#begin(point, number);
    const { cluster, writers } = round;
    const before = writers.acknowledged;
    writers.begin();
    const pass = this.#random.int(1, point.passes);
    const member = await point.scenario(round, { name: point.name, pass, action: point.action });
    if (!point.isSurvived) await this.#afterEnd(point, member, round, outcome);
    const tookMs = await cluster.startAll();
    if (!point.isDamaged) healthy(cluster);
    outcome.slowestStartMs = Math.max(outcome.slowestStartMs, tookMs);
    if (!point.isSurvived) outcome.restarted += 1;
    await eventually("a write after it all", EQUAL_MS, () => writers.write(member, "afterwards"));
    await writers.end();
    outcome.acknowledged += writers.acknowledged - before;
    await equal(cluster);
    for (const one of cluster.members) {
      for (const line of await writers.lost(one)) outcome.wrong.push(`lost ${line}`);
    }
  }

  async #begin(point: Point, number: number): Promise<Round> {
    if (point.isNew) await this.end();
    this.#cluster ??= await TestCluster.prepare(this.#executable);
    this.#writers ??= new Writers(this.#cluster);
    if (!point.isNew) {
      await this.#cluster.startAll();
      await this.#cluster.leader();
    }
    return { cluster: this.#cluster, writers: this.#writers, number };
  }

  async #afterEnd(point: Point, member: Member, { cluster, number, writers }: Round, outcome: Outcome): Promise<void> {
    outcome.killed += 1;
    if (number % 2 === 1) {
      await Promise.all(cluster.members.map((other) => other.kill()));
      await writers.end();
    }
    const broken = point.isDamaged ? null : await brokenPromise(member.directory, member.owner);
    if (broken !== null) throw new Error(broken);
    if (number % 2 === 1) writers.begin();
  }
}

/** A kill is no damage: a start that says so, though it mends it, has found a log that it should not have left. */
function healthy(cluster: TestCluster): void {
  const sick = cluster.members.find(({ said }) => said.includes("something else than was written"));
  if (sick !== undefined) throw new Error(`Start without damage: ${sick.said.slice(-1000)}`);
}

/** Waits until all members have applied the same, and compares their keyspaces. */
async function equal(cluster: TestCluster): Promise<void> {
  await eventually("equal keyspaces", EQUAL_MS, async () => {
    const states = await Promise.all(cluster.members.map((member) => member.state()));
    const { digest, revision } = states[0]?.hash ?? { digest: "", revision: 0 };
    if (states.every(({ hash, applied }) => hash.digest === digest && applied === states[0]?.applied)) return true;
    if (new Set(states.map(({ hash }) => hash.revision)).size > 1) return false;
    // Same revision: only what a member compacted already, and another not yet, may differ for a moment.
    throw new Error(`keyspaces differ at revision ${revision}: ${JSON.stringify(states)}`);
  });
}
