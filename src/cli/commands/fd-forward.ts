/**
 * flt fd-forward: what --tunnel runs on the far host.
 *
 * @module
 */
import { type Command, EXIT_FAILED, EXIT_OK, note } from "../command.ts";

export const fdForward: Command = {
  name: "fd-forward",
  usage: "SOCKET",
  summary: "Connect stdin and stdout to a unix socket",
  description: "Run by --tunnel on the far host. Ends when the socket does.",
  examples: ["fd-forward /run/flt.sock"],
  flags: [],
  isLocal: true,
  async run(context) {
    const [path, ...others] = context.args;
    if (path === undefined || others.length > 0) {
      note(context, "One socket must be given");
      return EXIT_FAILED;
    }
    await context.world.forward(path.replace(/^unix:\/\//, ""));
    return EXIT_OK;
  },
};
