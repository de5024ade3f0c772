/**
 * flt journal: what a unit has logged, on its machine.
 *
 * @module
 */

import type { JournalOptions } from "../../client/index.ts";
import { type Command, type CommandContext, EXIT_FAILED, EXIT_OK, EXIT_UNKNOWN_UNIT, note } from "../command.ts";
import { unitArguments } from "../resolve.ts";
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
} from "./machine-text.ts";
import { SSH_INSTEAD_FLAG } from "./shared-flags.ts";

export const journal: Command = {
  name: "journal",
  usage: "[--lines=N] [-f|--follow] [--output=MODE] UNIT",
  summary: "Show what a unit has logged, from the machine that holds it",
  description: "For a global unit: from each machine. --follow goes on until Ctrl-C.",
  examples: ["journal hello.service", "journal --lines=100 -f hello.service", "journal --output=cat hello.service"],
  flags: [
    { name: "lines", value: "N", fallback: "10", help: "How many of the latest lines to show" },
    { name: "follow", short: "f", fallback: "false", help: "Go on with new lines as they come" },
    { name: "output", value: "MODE", fallback: "short", help: "One of journalctl's output modes" },
    { name: "sudo", fallback: "false", help: "With --ssh-port: read the journal as root there" },
    SSH_INSTEAD_FLAG,
  ],
  async run(context) {
    const [unit, ...others] = unitArguments(context.args);
    if (unit === undefined || others.length > 0) {
      note(context, "One unit must be given");
      return EXIT_FAILED;
    }
    const { name } = unit;
    const options = {
      lines: context.flags.count("lines"),
      follow: context.flags.isOn("follow"),
      output: context.flags.text("output"),
    };
    const watch = await UnitWatch.open(context, [name]);
    const picture = watch.picture.get(name);
    await watch.close();
    const holders = holdersOf(picture);
    if (holders.length === 0) {
      const isUnknown = picture.unit === null;
      note(context, isUnknown ? `Unit ${name} does not exist.` : `Unit ${name} is on no machine: it has no journal`);
      return isUnknown && !context.isFleetctl ? EXIT_UNKNOWN_UNIT : EXIT_FAILED;
    }
    if (asksBySsh(context)) return await overSsh(context, name, holders, options);
    const open = (id: string): AsyncIterable<Uint8Array> =>
      context.client.journal(name, id, options, context.world.signal);
    try {
      await (options.follow ? printMixed(context, holders, open) : printInTurn(context, holders, open));
    } catch (error) {
      if (!isMissingRoute(error)) throw error;
      return await overSsh(context, name, holders, options);
    }
    return EXIT_OK;
  },
};

async function overSsh(
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
  if (options.follow && holders.length > 1) {
    note(context, `Cannot follow ${name} on ${holders.length} machines through SSH: leave --ssh-port out`);
    return EXIT_FAILED;
  }
  return await onEachBySsh(context, holders, shellLine(context.flags.isOn("sudo") ? ["sudo", ...words] : words));
}
