/**
 * What submit, load and start have in common: make sure that the cluster has the units, want them in a state, wait.
 *
 * Idea. One change a unit: a new one is created with the state it is wanted in. Everything about the units that exist comes
 * from the event stream, opened once for all of them.
 *
 * Invariants.
 * - An argument that cannot be resolved stops the command before anything was changed.
 *
 * @module
 */
import { unitOptionEntity } from "../../model/entities.ts";
import type { JobState } from "../../model/states.ts";
import { type UnitOption, unitHash } from "../../model/unit-file.ts";
import { type Change, patienceMs, refuseSigning, sendAll, waitForGoals } from "../change.ts";
import { CliError, type CommandContext, EXIT_FAILED, EXIT_OK, line, note } from "../command.ts";
import { Goal } from "../goals.ts";
import { type Resolved, resolveUnits, type UnitArgument } from "../resolve.ts";
import { selectUnits } from "../select.ts";
import { UnitWatch } from "../watch.ts";

export interface BringUp {
  /** As in "Triggered unit X start"; null: there is nothing to wait for (submit). */
  readonly verb: "start" | "load" | null;
  /** null: new units are left inactive, known ones as they are. */
  readonly state: JobState | null;
  /** As in "Error starting unit X". */
  readonly doing: string;
  /** States in which --replace may act. */
  readonly replaceable: readonly JobState[];
}

export async function bringUp(context: CommandContext, wish: BringUp): Promise<number> {
  refuseSigning(context);
  // Before the units are counted: a flag without its value has taken the first of them for it.
  const patience = wish.verb === null ? null : patienceMs(context);
  if (context.args.length === 0) {
    note(context, "No units given");
    return EXIT_OK;
  }
  const units = await selectUnits(context, context.args, { forbidden: wish.verb === null ? "submit" : null });
  if (units.length === 0) return EXIT_OK;
  const watch = await UnitWatch.open(
    context,
    units.map((unit) => unit.name),
  );
  try {
    const replaceable = context.flags.isOn("replace") ? wish.replaceable : null;
    const resolved = await resolve(context, units, watch, replaceable);
    return await carryOut(context, wish, watch, resolved, patience);
  } finally {
    await watch.close();
  }
}

async function resolve(
  context: CommandContext,
  units: readonly UnitArgument[],
  watch: UnitWatch,
  replaceable: readonly JobState[] | null,
): Promise<Resolved[]> {
  try {
    return await resolveUnits(context, units, watch.picture, replaceable);
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
    throw new CliError(`Error creating units: ${error.message}`);
  }
}

async function carryOut(
  context: CommandContext,
  wish: BringUp,
  watch: UnitWatch,
  resolved: readonly Resolved[],
  patience: number | null,
): Promise<number> {
  const accepted = resolved.filter((unit) => unit.kind !== "refused");
  const goals = new Map(accepted.map((unit) => [unit.name, goalOf(context, wish, watch, unit)]));
  const toSend = accepted.filter((unit) => needsRequest(unit, wish));
  const sent = await sendAll(context, toSend, {
    doing: wish.doing,
    change: (unit) => changeOf(wish, unit),
    onDone: (unit, revision) => goals.get(unit.name)?.written(revision),
  });
  let status = sent.length < toSend.length || accepted.length < resolved.length ? EXIT_FAILED : EXIT_OK;
  for (const unit of sent) if (unit.kind === "new") line(context, `Unit ${unit.name} inactive`);
  if (wish.verb === null) return status;

  for (const unit of sent) {
    if (unit.isGlobal) line(context, `Triggered global unit ${unit.name} ${wish.verb}`);
    else if (patience === null) line(context, `Triggered unit ${unit.name} ${wish.verb}`);
  }
  if (patience === null) return status;
  const failedToSend = new Set(toSend.filter((unit) => !sent.includes(unit)));
  const awaited = accepted.filter((unit) => !unit.isGlobal && !failedToSend.has(unit));
  const waited = await waitForGoals(
    context,
    watch,
    awaited.flatMap((unit) => goals.get(unit.name) ?? []),
    { patienceMs: patience, quiet: new Set(awaited.filter((unit) => !toSend.includes(unit)).map((unit) => unit.name)) },
  );
  if (status === EXIT_OK) status = waited;
  return status;
}

function needsRequest(unit: Resolved, wish: BringUp): boolean {
  if (unit.kind === "new" || unit.kind === "replace") return true;
  return wish.state !== null && unit.unit.desiredState !== wish.state;
}

function goalOf(context: CommandContext, wish: BringUp, watch: UnitWatch, unit: Resolved): Goal {
  const options = fileOf(unit);
  return new Goal(
    watch.picture.get(unit.name),
    wish.state === "launched" ? "launched" : "loaded",
    options === null ? null : unitHash(options),
    context.world.clock.now(),
  );
}

function changeOf(wish: BringUp, unit: Resolved): Change {
  const options = fileOf(unit);
  return {
    desiredState: wish.state ?? "inactive",
    ...(options !== null && { options: options.map(unitOptionEntity) }),
  };
}

function fileOf(unit: Resolved): readonly UnitOption[] | null {
  return unit.kind === "new" || unit.kind === "replace" ? unit.options : null;
}
