/**
 * Points side by side: a round mostly waits, for an election or a start, so several clusters share the machine.
 *
 * @module
 */
import { SeededRandom } from "../sim/random.ts";
import type { Point } from "./points.ts";
import { type Outcome, Rounds } from "./rounds.ts";

export interface LaneOptions {
  readonly rounds: number;
  readonly clusters: number;
  readonly seed: number;
  /** Ends it after the rounds under way. */
  readonly signal?: AbortSignal;
  /** Called with each point's outcome as it comes. */
  readonly tell: (outcome: Outcome) => void;
}

export async function runPoints(
  executable: string,
  points: readonly Point[],
  { rounds, clusters, seed, signal, tell }: LaneOptions,
): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  const waiting = [...points];
  const lane = async (place: number) => {
    const lane = new Rounds(executable, new SeededRandom(seed + place));
    try {
      for (let point = waiting.shift(); point !== undefined && !signal?.aborted; point = waiting.shift()) {
        const outcome = await lane.run(point, rounds, signal);
        outcomes.push(outcome);
        tell(outcome);
      }
    } finally {
      await lane.end();
    }
  };
  await Promise.all(Array.from({ length: clusters }, (_, place) => lane(place)));
  return outcomes;
}
