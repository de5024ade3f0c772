/**
 * flt restart: stop units and start them again, where they are.
 *
 * @module
 */
import { patienceMs, sendAll, waitForGoals } from "../change.ts";
import { type Command, type CommandContext, EXIT_FAILED, EXIT_OK, line, note } from "../command.ts";
import { Goal, type Target } from "../goals.ts";
import type { UnitWatch } from "../watch.ts";
import { type KnownUnit, withKnownUnits } from "./known-units.ts";
import { BLOCK_FLAGS } from "./shared-flags.ts";

export const restart: Command = {
  name: "restart",
  usage: "[--block-attempts=N] UNIT...",
  summary: "Stop units and start them again; loaded ones are started",
  description:
    "The units stay on their machines. Inactive units are passed over. A global unit is restarted on each machine. " +
    "With --no-block the stop is waited for all the same, the start is not.",
  examples: ["restart hello.service", "restart --block-attempts=10 web@1 web@2"],
  flags: BLOCK_FLAGS,
  run: (context) =>
    withKnownUnits(context, (watch, units) => restartUnits(context, watch, units), { passesInactive: true }),
};

async function restartUnits(context: CommandContext, watch: UnitWatch, known: readonly KnownUnit[]): Promise<number> {
  const units = known.filter(({ unit }) => unit.desiredState !== "inactive");
  for (const { name, unit } of known) {
    if (unit.desiredState === "inactive") note(context, `Unit ${name} is inactive: it is not restarted`);
  }
  const patience = patienceMs(context);
  const launched = units.filter(({ unit }) => unit.desiredState === "launched");
  const stopped = await phase(context, watch, launched, "stopped", patience ?? Number.POSITIVE_INFINITY).catch(
    (error: unknown) => {
      note(context, "They are asked to stop and were not asked to start again");
      throw error;
    },
  );
  if (stopped !== EXIT_OK) {
    note(context, "Not started again, since not all of them have stopped");
    return stopped;
  }
  const started = await phase(context, watch, units, "launched", patience);
  for (const { name, unit } of units) {
    if (unit.global) line(context, `Triggered global unit ${name} start`);
    else if (patience === null) line(context, `Triggered unit ${name} start`);
  }
  return started;
}

/** Asks for one state and waits until all units are in it; of global units only the stop is waited for. */
async function phase(
  context: CommandContext,
  watch: UnitWatch,
  units: readonly KnownUnit[],
  target: Target,
  patience: number | null,
): Promise<number> {
  const nowMs = context.world.clock.now();
  const goals = new Map(units.map(({ name }) => [name, new Goal(watch.picture.get(name), target, null, nowMs)]));
  const isStart = target === "launched";
  const sent = await sendAll(context, units, {
    doing: isStart ? "starting" : "stopping",
    change: () => ({ desiredState: isStart ? "launched" : "loaded" }),
  });
  const awaited = sent.filter(({ unit }) => target === "stopped" || !unit.global);
  const waited =
    patience === null
      ? EXIT_OK
      : await waitForGoals(
          context,
          watch,
          awaited.flatMap(({ name }) => goals.get(name) ?? []),
          { patienceMs: patience },
        );
  return sent.length < units.length ? EXIT_FAILED : waited;
}
