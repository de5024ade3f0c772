/**
 * flt journal: what a unit has logged, on its machine.
 *
 * @module
 */

import type { JournalOptions } from "../../client/index.ts";
import { shortened } from "../../lib/text.ts";
import { isJournalTime } from "../../model/journal.ts";
import { type Command, type CommandContext, EXIT_FAILED, EXIT_OK, EXIT_UNKNOWN_UNIT, note } from "../command.ts";
import { UsageError } from "../flags.ts";
import { selectUnits } from "../select.ts";
import { shellLine } from "../ssh/arguments.ts";
import { UnitWatch } from "../watch.ts";
import {
  asksBySsh,
  type Holder,
  holdersOf,
  isMissingRoute,
  onEachBySsh,
  printInTurn,
  printMixed,
  type Source,
  sourcesOf,
} from "./machine-text.ts";
import { SSH_INSTEAD_FLAG } from "./shared-flags.ts";

export const journal: Command = {
  name: "journal",
  usage: "[-n|--lines=N] [--since=TIME] [-f|--follow] [-o|--output=MODE] UNIT...",
  summary: "Show what a unit has logged, from the machine that holds it",
  description:
    "For a global unit: from each machine. Several units, or a pattern: one after the other, with --follow side by side. --follow " +
    "goes on until Ctrl-C. --since takes what journalctl takes, by the clock of the unit's machine: " +
    '"2026-11-21 09:30", "yesterday", "-1h30min", "10 min ago".',
  examples: [
    "journal hello.service",
    "journal --lines=100 -f hello.service",
    "journal --output=cat hello.service",
    "journal --since=-5min hello.service",
    "journal -n all hello.service",
    "journal -f 'web@*'",
  ],
  flags: [
    {
      name: "lines",
      short: "n",
      value: "N",
      fallback: "10",
      help: "How many of the latest lines to show, or all; with --since all unless told",
    },
    { name: "since", value: "TIME", fallback: "", help: "Nothing that is older" },
    { name: "follow", short: "f", fallback: "false", help: "Go on with new lines as they come" },
    {
      name: "output",
      short: "o",
      value: "MODE",
      fallback: "short",
      help: "One of journalctl's output modes",
      choices: ["short", "short-precise", "short-iso", "short-full", "verbose", "export", "json", "json-pretty", "cat"],
    },
    { name: "sudo", fallback: "false", help: "With --ssh-port: read the journal as root there" },
    SSH_INSTEAD_FLAG,
  ],
  pages: true,
  async run(context) {
    const { world } = context;
    const options = readOptions(context);
    if (context.args.length === 0) {
      note(context, "One unit must be given");
      return EXIT_FAILED;
    }
    const names = (await selectUnits(context)).map((unit) => unit.name);
    if (names.length === 0) return EXIT_OK;
    const { found, status } = await findHolders(context, names);
    if (found.length === 0) return status;
    if (asksBySsh(context)) return Math.max(status, await overSsh(context, found, options));
    const sources = found.flatMap(({ name, holders }) => {
      const all = sourcesOf(holders, (id) => context.client.journal(name, id, options, world.signal));
      return names.length === 1 ? all : all.map((source) => ofUnit(name, source));
    });
    try {
      await (options.follow ? printMixed(context, sources) : printInTurn(context, sources));
    } catch (error) {
      if (!isMissingRoute(error)) throw error;
      return Math.max(status, await overSsh(context, found, options));
    }
    return status;
  },
};

/** Refused before the cluster is asked, but for what only journalctl can tell. */
function readOptions({ flags }: CommandContext): JournalOptions {
  const isSince = flags.isGiven("since");
  const since = flags.text("since").trim();
  if (isSince && !isJournalTime(since)) {
    throw new UsageError(
      `Cannot use --since=${shortened(since)}: a time is needed, as in --since="1 hour ago"`,
      "journal",
    );
  }
  return {
    lines: isSince && !flags.isGiven("lines") ? "all" : flags.countOrAll("lines"),
    ...(isSince && { since }),
    follow: flags.isOn("follow"),
    output: flags.text("output"),
  };
}

interface Held {
  readonly name: string;
  readonly holders: readonly Holder[];
}

/** Those that are somewhere; of the others is said why they have no journal. */
async function findHolders(
  context: CommandContext,
  names: readonly string[],
): Promise<{ readonly found: readonly Held[]; readonly status: number }> {
  const watch = await UnitWatch.open(context, names);
  const pictures = names.map((name) => watch.picture.get(name));
  await watch.close();
  let status = EXIT_OK;
  const found: Held[] = [];
  for (const picture of pictures) {
    const { name } = picture;
    const holders = holdersOf(picture);
    if (holders.length > 0) {
      found.push({ name, holders });
      continue;
    }
    const isUnknown = picture.unit === null;
    note(context, isUnknown ? `Unit ${name} does not exist.` : `Unit ${name} is on no machine: it has no journal`);
    status = Math.max(status, isUnknown && !context.isFleetctl ? EXIT_UNKNOWN_UNIT : EXIT_FAILED);
  }
  return { found, status };
}

function ofUnit(name: string, { heading, mark, open }: Source): Source {
  return { heading: `${name} on ${heading}`, mark: `${mark} ${name}`, open };
}

async function overSsh(context: CommandContext, found: readonly Held[], options: JournalOptions): Promise<number> {
  if (options.follow && (found.length > 1 || found.some(({ holders }) => holders.length > 1))) {
    note(context, "Cannot follow several journals through SSH: leave --ssh-port out");
    return EXIT_FAILED;
  }
  let status = EXIT_OK;
  for (const { name, holders } of found) status = Math.max(status, await onEach(context, name, holders, options));
  return status;
}

async function onEach(
  context: CommandContext,
  name: string,
  holders: readonly Holder[],
  options: JournalOptions,
): Promise<number> {
  const words = [
    "journalctl",
    `--unit=${name}`,
    "--no-pager",
    `--lines=${options.lines}`,
    `--output=${options.output}`,
  ];
  if (options.follow) words.push("--follow");
  if (options.since !== undefined) words.push(`--since=${options.since}`);
  return await onEachBySsh(context, holders, shellLine(context.flags.isOn("sudo") ? ["sudo", ...words] : words));
}
