/**
 * "Did you mean …?": the known word that is nearest to a mistyped one.
 *
 * Idea. Edit distance with swapped neighbours counted once (optimal string alignment), upper and lower case, dash and
 * underscore taken as equal, so that `machineid` finds `MachineID` and `data_dri` finds `data-dir`.
 *
 * Invariant. Nothing is suggested that is further away than a third of the word: a wild guess is worse than none.
 *
 * @module
 */

/** Words longer than this are not typing mistakes; it bounds the work on hostile input. */
const MAX_WORD_LENGTH = 64;

/** The nearest candidate (the first of equals), or undefined when none is near. */
export function nearestWord(word: string, candidates: Iterable<string>): string | undefined {
  const wanted = fold(word);
  if (wanted.length === 0 || wanted.length > MAX_WORD_LENGTH) {
    return undefined;
  }
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(wanted.length / 3)) + 1;
  for (const candidate of candidates) {
    const folded = fold(candidate);
    if (Math.abs(folded.length - wanted.length) >= bestDistance) {
      continue;
    }
    const distance = editDistance(wanted, folded);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** `. Did you mean "x"?`, or "" when nothing is near: to be appended to a message. `prefix` is shown and not compared: a flag's dashes. */
export function didYouMean(word: string, candidates: Iterable<string>, prefix = ""): string {
  const nearest = nearestWord(word, candidates);
  return nearest === undefined ? "" : `. Did you mean "${prefix}${nearest}"?`;
}

function fold(word: string): string {
  return word.toLowerCase().replaceAll("_", "-");
}

/** Insertions, deletions, replacements and swaps of neighbours that turn one word into the other. */
export function editDistance(from: string, to: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1];
      let cost = Math.min(
        at(previous, column) + 1,
        at(current, column - 1) + 1,
        at(previous, column - 1) + (same ? 0 : 1),
      );
      const swapped = row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      if (swapped) {
        cost = Math.min(cost, at(beforePrevious, column - 2) + 1);
      }
      current.push(cost);
    }
    beforePrevious = previous;
    previous = current;
  }
  return at(previous, to.length);
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Number.POSITIVE_INFINITY;
}
