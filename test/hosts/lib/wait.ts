/**
 * Waiting with an end, where nothing offers an event to wait for.
 *
 * @module
 */

const PAUSE_MS = 25;

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Thrown when the deadline passes; names what was awaited and what was seen last. */
export class DeadlineError extends Error {
  readonly code = "deadline";
}

/**
 * Asks until the answer is neither undefined nor false, and returns it.
 *
 * A probe that throws counts as a "no", and its last reason is told when the deadline passes.
 *
 * @param what Names the awaited thing in the failure.
 */
export async function eventually<T>(
  what: string,
  timeoutMs: number,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const begin = performance.now();
  let last = "";
  for (;;) {
    try {
      const answer = await probe();
      if (answer !== undefined && answer !== false) {
        return answer;
      }
      last = "";
    } catch (error) {
      last = error instanceof Error ? error.message : String(error);
    }
    if (performance.now() - begin > timeoutMs) {
      throw new DeadlineError(`Wait for ${what}: not so after ${timeoutMs} ms${last === "" ? "" : `: ${last}`}`);
    }
    await sleep(PAUSE_MS);
  }
}

/** Asserts that the probe's answer stays the same text for a while. */
export async function steadily(what: string, durationMs: number, probe: () => Promise<string>): Promise<void> {
  const begin = performance.now();
  const first = await probe();
  while (performance.now() - begin < durationMs) {
    await sleep(PAUSE_MS * 10);
    const now = await probe();
    if (now !== first) {
      throw new Error(`Watch ${what}: changed from "${first}" to "${now}"`);
    }
  }
}
