/**
 * What stop and unload have in common: want less of units that exist, and wait until it is so.
 *
 * @module
 */
import { bracketed, patienceMs, sendAll, waitForGoals } from "../change.ts";
import { type CommandContext, EXIT_FAILED, EXIT_OK, line, note } from "../command.ts";
import { Goal, type Target } from "../goals.ts";
import type { UnitWatch } from "../watch.ts";
import type { KnownUnit } from "./known-units.ts";

export interface TakeDown {
  readonly verb: "stop" | "unload";
  /** As in "Successfully stopped units". */
  readonly past: "stopped" | "unloaded";
  readonly doing: string;
  readonly target: Target;
}

/** `units` are those that need the change. */
export async function takeDown(
  context: CommandContext,
  wish: TakeDown,
  watch: UnitWatch,
  units: readonly KnownUnit[],
): Promise<number> {
  const patience = patienceMs(context);
  const nowMs = context.world.clock.now();
  const goals = new Map(
    units.map(({ name }) => [name, new Goal(watch.picture.get(name), wish.target, null, nowMs)] as const),
  );
  const sent = await sendAll(context, units, {
    doing: wish.doing,
    change: () => ({ desiredState: wish.target === "gone" ? "inactive" : "loaded" }),
  });
  let status = sent.length < units.length ? EXIT_FAILED : EXIT_OK;
  for (const { name, unit } of sent) {
    if (unit.global) line(context, `Triggered global unit ${name} ${wish.verb}`);
    else if (patience === null) line(context, `Triggered unit ${name} ${wish.verb}`);
  }
  const awaited = sent.filter(({ unit }) => !unit.global);
  if (patience !== null) {
    const waited = await waitForGoals(
      context,
      watch,
      awaited.flatMap(({ name }) => goals.get(name) ?? []),
      { patienceMs: patience },
    );
    if (status === EXIT_OK) status = waited;
  }
  const names = bracketed(awaited.map(({ name }) => name));
  if (status === EXIT_OK) note(context, `Successfully ${wish.past} units ${names}.`);
  else note(context, `Failed to ${wish.verb} units ${names}. exit == ${status}.`);
  return status;
}
