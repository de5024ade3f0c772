/**
 * For commands that act on units which the cluster must have already.
 *
 * @module
 */
import type { UnitEvent } from "../../model/events.ts";
import { patienceMs } from "../change.ts";
import { type CommandContext, EXIT_OK, EXIT_UNKNOWN_UNIT, note } from "../command.ts";
import { selectUnits } from "../select.ts";
import { UnitWatch } from "../watch.ts";

/** A unit that exists, as it was when the command began. */
export interface KnownUnit {
  readonly name: string;
  readonly unit: UnitEvent;
}

export interface KnownUnitsOptions {
  /** Inactive units that a pattern has matched are passed over, as systemctl passes over what it has not in memory. */
  readonly passesInactive?: boolean;
}

/**
 * Looks the arguments up and runs `act` on those that exist; its status counts before the one for unknown units.
 * fleet passed unknown units over; flt names them and ends with systemctl's status 5.
 */
export async function withKnownUnits(
  context: CommandContext,
  act: (watch: UnitWatch, units: readonly KnownUnit[]) => Promise<number>,
  options: KnownUnitsOptions = {},
): Promise<number> {
  // Refuses a bad value before anything is done, also where the flag has taken the only unit for it.
  patienceMs(context);
  if (context.args.length === 0) {
    note(context, "No units given");
    return EXIT_OK;
  }
  const selected = await selectUnits(context);
  if (selected.length === 0) return EXIT_OK;
  const names = selected.map((unit) => unit.name);
  const watch = await UnitWatch.open(context, names);
  try {
    const known = selected.flatMap(({ name, isMatch }) => {
      const { unit } = watch.picture.get(name);
      const isPassed = isMatch && options.passesInactive === true && unit?.desiredState === "inactive";
      return unit === null || isPassed ? [] : [{ name, unit }];
    });
    // What a pattern has matched and is gone by now was destroyed meanwhile: nobody asked for it by name.
    const unknown = selected.filter(({ name, isMatch }) => !isMatch && watch.picture.get(name).unit === null);
    const unknownStatus = tellUnknown(
      context,
      unknown.map(({ name }) => name),
      known.length,
    );
    const status = known.length === 0 ? EXIT_OK : await act(watch, known);
    return status === EXIT_OK ? unknownStatus : status;
  } finally {
    await watch.close();
  }
}

export function tellUnknown(context: CommandContext, unknown: readonly string[], knownCount: number): number {
  if (unknown.length === 0) return EXIT_OK;
  if (context.isFleetctl) {
    if (knownCount === 0) note(context, "Units not found in registry");
    return EXIT_OK;
  }
  note(context, `Units not found in registry: ${unknown.join(" ")}`);
  return EXIT_UNKNOWN_UNIT;
}
