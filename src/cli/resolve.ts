/**
 * From a unit argument to what must be uploaded: the unit in the registry, a file on disk, a template in the registry, a
 * template on disk beside the path; in this order.
 *
 * Invariants.
 * - Everything is read and checked before the command changes anything.
 *
 * @module
 */
import type { UnitEvent } from "../model/events.ts";
import { parseRequirements, unitWarnings } from "../model/requirements.ts";
import type { JobState } from "../model/states.ts";
import { parseUnitFile, type UnitOption, unitHash } from "../model/unit-file.ts";
import { mangleUnitName, parseUnitName } from "../model/unit-name.ts";
import { CliError, type CommandContext, note } from "./command.ts";
import type { Picture } from "./picture.ts";

export interface UnitArgument {
  readonly name: string;
  /** The path that a file of this name would have. */
  readonly path: string;
}

export type Resolved = UnitArgument & {
  readonly isGlobal: boolean;
} & (
    | { readonly kind: "known"; readonly unit: UnitEvent }
    | { readonly kind: "new"; readonly options: readonly UnitOption[] }
    | { readonly kind: "replace"; readonly unit: UnitEvent; readonly options: readonly UnitOption[] }
    /** --replace is not for a unit in this state: it is left as it is. */
    | { readonly kind: "refused"; readonly unit: UnitEvent }
  );

interface LocalFile {
  readonly options: readonly UnitOption[];
  /** As the warning names it. */
  readonly description: string;
}

/** Names in order, each once; throws for one that is no unit name. */
export function unitArguments(args: readonly string[]): UnitArgument[] {
  const units = new Map<string, UnitArgument>();
  for (const arg of args) {
    const name = mangleUnitName(arg);
    parseUnitName(name);
    const folder = arg.slice(0, arg.lastIndexOf("/") + 1);
    units.set(name, { name, path: `${folder}${name}` });
  }
  return [...units.values()];
}

/** @param replaceable States in which --replace may act; null: it was not given. */
export async function resolveUnits(
  context: CommandContext,
  units: readonly UnitArgument[],
  picture: Picture,
  replaceable: readonly JobState[] | null,
): Promise<Resolved[]> {
  const resolved: Resolved[] = [];
  for (const unit of units) {
    const known = picture.get(unit.name).unit;
    if (known === null) resolved.push(await newUnit(context, unit));
    else resolved.push(knownUnit(context, unit, known, replaceable));
  }
  return resolved;
}

function knownUnit(
  context: CommandContext,
  argument: UnitArgument,
  unit: UnitEvent,
  replaceable: readonly JobState[] | null,
): Resolved {
  const known: Resolved = { ...argument, kind: "known", unit, isGlobal: unit.global };
  const local = localFile(context, argument) ?? localTemplate(context, argument);
  if (local === null) return known;
  if (unitHash(local.options) === unit.hash) {
    if (replaceable !== null) note(context, `Found same Unit(${argument.name}) in Registry, nothing to do`);
    return known;
  }
  if (replaceable === null) {
    warnDiffers(context, argument.name, local);
    return known;
  }
  if (!replaceable.includes(unit.desiredState)) {
    note(
      context,
      `Warning: can not replace Unit(${argument.name}) in state '${unit.desiredState}', use the appropriate command`,
    );
    return { ...argument, kind: "refused", unit, isGlobal: unit.global };
  }
  const isGlobal = checkedGlobal(context, argument.name, local.options);
  return { ...argument, kind: "replace", unit, options: local.options, isGlobal };
}

async function newUnit(context: CommandContext, argument: UnitArgument): Promise<Resolved> {
  const options = localFile(context, argument)?.options ?? (await templateOptions(context, argument));
  return { ...argument, kind: "new", options, isGlobal: checkedGlobal(context, argument.name, options) };
}

async function templateOptions(context: CommandContext, argument: UnitArgument): Promise<readonly UnitOption[]> {
  const { template, isInstance } = parseUnitName(argument.name);
  if (!isInstance) throw new CliError(`unable to find Unit(${argument.name}) in Registry or on filesystem`);
  const local = localTemplate(context, argument);
  const known = await context.client.unit(template, context.world.signal);
  if (known === null) {
    if (local !== null) return local.options;
    throw new CliError(
      `unable to find Unit(${argument.name}) or template Unit(${template}) in Registry or on filesystem`,
    );
  }
  const options = (known.options ?? []).map(({ section, name, value }) => ({ section, name, value: value ?? "" }));
  if (local !== null && unitHash(local.options) !== unitHash(options)) warnDiffers(context, template, local);
  return options;
}

function localFile(context: CommandContext, { name, path }: UnitArgument): LocalFile | null {
  return readUnitFile(context, name, path, `local unit file ${path}`);
}

function localTemplate(context: CommandContext, { name, path }: UnitArgument): LocalFile | null {
  const { template, isInstance } = parseUnitName(name);
  if (!isInstance) return null;
  const templatePath = `${path.slice(0, path.lastIndexOf("/") + 1)}${template}`;
  return readUnitFile(context, name, templatePath, `local template unit file ${template}`);
}

function readUnitFile(context: CommandContext, name: string, path: string, description: string): LocalFile | null {
  try {
    const bytes = context.world.readFile(path);
    return bytes === null ? null : { options: parseUnitFile(bytes), description };
  } catch (error) {
    throw new CliError(`failed getting Unit(${name}) from file ${path}: ${(error as Error).message}`);
  }
}

/** Refuses what the daemon would refuse, and says what it would accept in silence. */
function checkedGlobal(context: CommandContext, name: string, options: readonly UnitOption[]): boolean {
  if (options.length === 0) throw new CliError(`Unit(${name}) has no options: its file is empty`);
  const { global } = parseRequirements(name, options);
  for (const warning of unitWarnings(name, options)) note(context, `WARNING: Unit ${name}: ${warning}`);
  return global;
}

function warnDiffers(context: CommandContext, name: string, local: LocalFile): void {
  note(context, `WARNING: Unit ${name} in registry differs from ${local.description}. Add --replace to override.`);
}
