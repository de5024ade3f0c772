/**
 * The cluster's events as commands read them: one stream that outlives its connection.
 *
 * Idea. The stream says what is, not what happened, so when the connection breaks it is simply opened again. To the reader that
 * looks like the daemon's own `reset`: forget what was known, all of it comes again.
 *
 * Invariants.
 * - A stream that never got to `synced` fails at once; later a lost connection is tried again for RETRY_FOR_MS, then it is an error.
 * - The signal ends everything at once.
 *
 * @module
 */
import { ClientError } from "../client/index.ts";
import { pause } from "../lib/wait.ts";
import type { FleetEvent } from "../model/events.ts";
import { type CommandContext, note } from "./command.ts";

const RETRY_FOR_MS = 60_000;
const RETRY_FIRST_MS = 100;
const RETRY_MOST_MS = 2_000;

export const CANCELLED = new ClientError("cancelled", "The wait was cancelled");

/** @param names Of units; none: everything. Ends only by throwing: CANCELLED when the signal did it. */
export async function* followEvents(
  context: CommandContext,
  names: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<FleetEvent, never> {
  const { clock } = context.world;
  let wasSynced = false;
  let delayMs = RETRY_FIRST_MS;
  /** null: connected. */
  let lostAtMs: number | null = clock.now();
  for (;;) {
    try {
      for await (const event of context.client.events(names, signal)) {
        if (event.type === "synced") {
          wasSynced = true;
          delayMs = RETRY_FIRST_MS;
          lostAtMs = null;
        }
        yield event;
      }
      throw new ClientError("unreachable", "The event stream has ended");
    } catch (error) {
      if (signal.aborted) throw CANCELLED;
      if (!wasSynced || !isWorthRetrying(error)) throw error;
      if (lostAtMs === null) {
        lostAtMs = clock.now();
        note(context, `${(error as Error).message}. Trying again`);
      }
      if (clock.now() - lostAtMs > RETRY_FOR_MS) throw error;
    }
    await pause(clock, delayMs, signal);
    if (signal.aborted) throw CANCELLED;
    delayMs = Math.min(delayMs * 2, RETRY_MOST_MS);
    yield { type: "reset" };
  }
}

/** A refusal by rule stays a refusal; a connection, a leader or a quorum may come back. */
function isWorthRetrying(error: unknown): boolean {
  if (!(error instanceof ClientError)) return false;
  return error.code === "unreachable" || error.code === "timeout" || error.status === 503;
}
