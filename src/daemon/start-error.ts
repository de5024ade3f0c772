/**
 * A start that cannot succeed: one clear line for the operator, exit status 1, no stack trace.
 *
 * Idea. Parts fail with their own classes; `whileStarting` puts the attempt before the reason, in the order of the message grammar:
 * what was attempted, on what, why, what to do.
 *
 * @module
 */
import { wordsOf } from "../platform/data-dir.ts";

export class StartError extends Error {
  readonly code = "start";
}

/** @param advice Shown behind the system's own words; "" where they say enough. */
export async function whileStarting<T>(
  attempt: string,
  advice: string | ((error: unknown) => string),
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const what = typeof advice === "string" ? advice : advice(error);
    throw new StartError(`${attempt} failed: ${wordsOf(error)}${what === "" ? "" : `; ${what}`}`, { cause: error });
  }
}
