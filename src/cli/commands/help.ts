/**
 * flt help: the commands, or one of them.
 *
 * @module
 */
import { type Command, EXIT_OK } from "../command.ts";
import { commandHelp, overviewHelp } from "../help.ts";
import { COMMANDS, findCommand } from "./index.ts";

export const help: Command = {
  name: "help",
  usage: "[COMMAND]",
  summary: "Explain the commands, or one of them",
  description: "The same as COMMAND --help.",
  examples: ["help", "help start"],
  flags: [],
  run(context) {
    const [word] = context.args;
    if (word === "daemon") {
      context.world.out("The daemon explains itself: flt daemon --help\n");
      return Promise.resolve(EXIT_OK);
    }
    const all = [...COMMANDS, help];
    const text =
      word === undefined ? overviewHelp(context.program, all) : commandHelp(context.program, findCommand(word, all));
    context.world.out(text);
    return Promise.resolve(EXIT_OK);
  },
};
