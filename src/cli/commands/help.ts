/**
 * flt help: the commands, or one of them.
 *
 * @module
 */
import { type Command, EXIT_OK } from "../command.ts";

export const help: Command = {
  name: "help",
  usage: "[COMMAND]",
  summary: "Explain the commands, or one of them",
  description: "The same as COMMAND --help.",
  examples: ["help", "help start"],
  flags: [],
  isLocal: true,
  pages: true,
  run(context) {
    const [word] = context.args;
    if (word === "daemon") {
      context.world.out("The daemon explains itself: flt daemon --help\n");
      return Promise.resolve(EXIT_OK);
    }
    context.world.out(context.explain(word ?? null));
    return Promise.resolve(EXIT_OK);
  },
};
