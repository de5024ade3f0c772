/**
 * flt journal: what a unit has logged, on its machine.
 *
 * @module
 */
import { type Command, EXIT_FAILED, EXIT_OK, EXIT_UNKNOWN_UNIT, note } from "../command.ts";
import { unitArguments } from "../resolve.ts";
import { UnitWatch } from "../watch.ts";
import { holdersOf, printInTurn, printMixed } from "./machine-text.ts";
import { SSH_PORT_FLAG } from "./shared-flags.ts";

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
    { name: "sudo", fallback: "false", help: "Accepted without effect" },
    SSH_PORT_FLAG,
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
    const open = (id: string): AsyncIterable<Uint8Array> =>
      context.client.journal(name, id, options, context.world.signal);
    await (options.follow ? printMixed(context, holders, open) : printInTurn(context, holders, open));
    return EXIT_OK;
  },
};
