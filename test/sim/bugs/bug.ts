/**
 * A bug that others have shipped, or nearly, as a change of production's text that is made when a simulation loads it.
 *
 * Idea. No switch in production code: a bug is a place in a file and what to write there instead. When the code changes and the place is
 * gone, bugs.test.ts says so, and the bug is to be written anew.
 *
 * @module
 */

export interface Bug {
  readonly name: string;
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
  /**
   * Of whole clusters; of raft alone, which goes through elections five times as quickly; or blind: of whole clusters, where the checkers
   * outside are deaf and production's own comparison of its members has to find it, within the 30 s that a seed lasts.
   */
  readonly simulation?: "raft" | "blind";
  /**
   * It is found within so many seeds, from 1 on. Not where it is found today: at least five times what it takes on average (counted over hundreds of
   * seeds where that is much), so that a change that only deals the seeds anew passes over it once in a hundred times.
   */
  readonly seeds: number;
}

/** Puts the bug into a file's text. */
export function withBug(text: string, { name, file, find, replace }: Bug): string {
  const [before, after, ...more] = text.split(find);
  if (before === undefined || after === undefined || more.length > 0) {
    throw new Error(`Planting "${name}" failed: its place is not found once in ${file}`);
  }
  return before + replace + after;
}
