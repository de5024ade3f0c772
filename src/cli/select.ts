/**
 * Which units the arguments mean: names as they stand, and patterns as the names in the cluster that they describe.
 *
 * Problem. A shell that finds no file for `units/*` hands the pattern over as it is. Taken for "*", `flt destroy units/*` in the
 * wrong folder would destroy everything.
 * Idea. A pattern is matched by the cluster, with the units that it has; what it matches is then as if it had been typed. One
 * that has a "/" was meant for files, and is refused before anything is done.
 *
 * Invariants.
 * - Nothing is touched that was neither named nor matched. A pattern that matches nothing is no error (as with systemctl), and is told.
 *
 * @module
 */
import { parseUnitName } from "../model/unit-name.ts";
import { compileUnitPattern, isUnitPattern } from "../model/unit-pattern.ts";
import { CliError, type CommandContext, note } from "./command.ts";
import { type UnitArgument, unitArguments } from "./resolve.ts";

export interface SelectedUnit extends UnitArgument {
  /** By a pattern alone: what does not fit the command is passed over, where a name would be refused. */
  readonly isMatch: boolean;
}

export interface SelectOptions {
  /** Patterns match templates, too: for commands that are about files. */
  readonly withTemplates?: boolean;
  /** What is done cannot be done by pattern: its name, for the refusal. */
  readonly forbidden?: string | null;
  /** Says nothing of a pattern without a match. */
  readonly quiet?: boolean;
}

/** In the order of the arguments, the matches of a pattern by name; each unit once. Throws for what is no unit name. */
export async function selectUnits(
  context: CommandContext,
  args: readonly string[] = context.args,
  options: SelectOptions = {},
): Promise<SelectedUnit[]> {
  const patterns = args.filter(isUnitPattern);
  const named = unitArguments(args.filter((arg) => !isUnitPattern(arg)));
  if (patterns.length === 0) return named.map((unit) => ({ ...unit, isMatch: false }));
  for (const pattern of patterns) {
    if (typeof options.forbidden === "string") {
      throw new CliError(
        `Cannot ${options.forbidden} "${pattern}": no file has this name, and files are what is needed`,
      );
    }
    refusePath(pattern);
  }
  const known = await context.client.unitNames(patterns, context.world.signal);
  const isWanted = (name: string): boolean => options.withTemplates === true || !parseUnitName(name).isTemplate;
  const selected = new Map<string, SelectedUnit>();
  for (const arg of args) {
    if (!isUnitPattern(arg)) {
      for (const unit of unitArguments([arg])) selected.set(unit.name, { ...unit, isMatch: false });
      continue;
    }
    const glob = compileUnitPattern(arg);
    const names = known.filter((name) => glob.matches(name) && isWanted(name));
    if (names.length === 0 && options.quiet !== true) note(context, `No unit matches "${arg}"`);
    for (const name of names) if (!selected.has(name)) selected.set(name, { name, path: name, isMatch: true });
  }
  return [...selected.values()];
}

function refusePath(pattern: string): void {
  compileUnitPattern(pattern);
  if (!pattern.includes("/")) return;
  throw new CliError(
    `Cannot use "${pattern}": the shell found no such file, and a pattern for units of the cluster has no "/"`,
  );
}
