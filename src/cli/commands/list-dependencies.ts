/**
 * flt list-dependencies: what a unit needs, on its machine and in the cluster.
 *
 * Idea. systemd's dependencies are those of the unit's machine, in systemctl's own words. What binds the unit to others in the cluster
 * is in its file's placement section, and follows.
 *
 * @module
 */
import type { DependenciesOptions } from "../../client/index.ts";
import { unitOptionFromEntity } from "../../model/entities.ts";
import { parseRequirements, type Requirements } from "../../model/requirements.ts";
import {
  CliError,
  type Command,
  type CommandContext,
  EXIT_FAILED,
  EXIT_OK,
  EXIT_UNKNOWN_UNIT,
  line,
  note,
} from "../command.ts";
import type { UnitPicture } from "../picture.ts";
import { selectUnits } from "../select.ts";
import { shellLine } from "../ssh/arguments.ts";
import { UnitWatch } from "../watch.ts";
import { asksBySsh, holdersOf, isMissingRoute, onEachBySsh, printInTurn, sourcesOf } from "./machine-text.ts";
import { SSH_INSTEAD_FLAG } from "./shared-flags.ts";

export const listDependencies: Command = {
  name: "list-dependencies",
  usage: "[--reverse|--before|--after] [-a|--all] [--plain] UNIT...",
  summary: "List what units need, on their machines and in the cluster",
  description:
    "Prints systemctl's tree, from the unit's machine, and below it the relations that its placement section names: MachineOf, Conflicts, " +
    "Replaces. The latter are left out by --reverse, --before, --after and --plain. Ends with 5 when one of the units is not known.",
  examples: ["list-dependencies hello.service", "list-dependencies --reverse --plain hello.service"],
  flags: [
    { name: "reverse", fallback: "false", help: "What needs the unit" },
    { name: "before", fallback: "false", help: "What is ordered after the unit" },
    { name: "after", fallback: "false", help: "What is ordered before the unit" },
    { name: "all", short: "a", fallback: "false", help: "Follow every unit, not just targets" },
    { name: "plain", fallback: "false", help: "A list instead of a tree" },
    SSH_INSTEAD_FLAG,
  ],
  pages: true,
  async run(context) {
    const direction = readDirection(context);
    if (context.args.length === 0) {
      note(context, "No units given");
      return EXIT_FAILED;
    }
    const names = (await selectUnits(context)).map((unit) => unit.name);
    if (names.length === 0) return EXIT_OK;
    const watch = await UnitWatch.open(context, names);
    const pictures = names.map((name) => watch.picture.get(name));
    await watch.close();
    let status = EXIT_OK;
    let isFirst = true;
    for (const picture of pictures) {
      if (picture.unit === null && picture.states.size === 0) {
        note(context, `Unit ${picture.name} does not exist.`);
        status = context.isFleetctl ? EXIT_FAILED : EXIT_UNKNOWN_UNIT;
        continue;
      }
      if (!isFirst) line(context, "");
      isFirst = false;
      status = Math.max(status, await printUnit(context, picture, direction));
    }
    return status;
  },
};

const DIRECTIONS = ["reverse", "before", "after"] as const;
type Direction = "requires" | (typeof DIRECTIONS)[number];

function readDirection({ flags }: CommandContext): Direction {
  const [direction = "requires", ...others] = DIRECTIONS.filter((name) => flags.isOn(name));
  if (others.length > 0) throw new CliError(`Cannot use --${direction} with --${others[0]}: choose one`);
  return direction;
}

async function printUnit(context: CommandContext, picture: UnitPicture, direction: Direction): Promise<number> {
  const { client, flags, world } = context;
  const { name } = picture;
  const options = { direction, all: flags.isOn("all"), plain: flags.isOn("plain") };
  const holders = holdersOf(picture);
  if (holders.length === 0) line(context, name);
  const overSsh = (): Promise<number> => onEachBySsh(context, holders, remoteLine(name, options));
  let status = EXIT_OK;
  try {
    if (asksBySsh(context)) status = await overSsh();
    else {
      await printInTurn(
        context,
        sourcesOf(holders, (id) => client.dependencies(name, id, options, world.signal)),
      );
    }
  } catch (error) {
    if (!isMissingRoute(error)) throw error;
    status = await overSsh();
  }
  if (direction !== "requires" || options.plain) return status;
  const relations = await relationsOf(context, name);
  if (relations.length > 0) context.world.out(`In the cluster:\n${relations.map((text) => `  ${text}\n`).join("")}`);
  return status;
}

function remoteLine(name: string, { direction, all, plain }: DependenciesOptions): string {
  const flags = [direction !== "requires" && `--${direction}`, all && "--all", plain && "--plain"];
  const given = flags.filter((flag) => flag !== false);
  return shellLine(["systemctl", "list-dependencies", "--no-pager", ...given, "--", name]);
}

async function relationsOf({ client, world }: CommandContext, name: string): Promise<string[]> {
  const unit = await client.unit(name, world.signal);
  let requirements: Requirements;
  try {
    requirements = parseRequirements(name, (unit?.options ?? []).map(unitOptionFromEntity));
  } catch (error) {
    // A file that another version let in: its machine's systemd has been asked all the same.
    if (error instanceof Error && "code" in error) return [error.message];
    throw error;
  }
  return [
    ...requirements.machineOf.map((peer) => `MachineOf=${peer}`),
    ...requirements.conflicts.map((pattern) => `Conflicts=${pattern}`),
    ...requirements.replaces.map((pattern) => `Replaces=${pattern}`),
  ];
}
