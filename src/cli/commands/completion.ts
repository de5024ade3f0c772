/**
 * flt completion: what teaches a shell to complete flt's commands, flags, units and machines.
 *
 * `flt completion words -- WORD...` is the question that those scripts ask.
 *
 * @module
 */
import { parseEndpoint } from "../../client/index.ts";
import { CliError, type Command, type CommandContext, EXIT_OK, line } from "../command.ts";
import { type ClusterNames, complete } from "../completion/candidates.ts";
import { clusterNames } from "../completion/cluster-names.ts";
import { FILES_LINE, SCRIPTS, SHELLS } from "../completion/scripts.ts";
import { FlagValues, splitArguments } from "../flags.ts";
import { GLOBAL_FLAGS } from "../global-flags.ts";
import { completeFlags, makeClient } from "../reach.ts";

export const completion: Command = {
  name: "completion",
  usage: SHELLS.join("|"),
  summary: "Print the script that makes a shell complete flt's words",
  description:
    "Commands, flags and their values, and the names of the cluster's units and machines, which a running daemon is asked for. " +
    "flt install and the Debian package put the scripts where the shells look for them; in a bash without them: source <(flt completion bash).",
  examples: ["completion bash > /etc/bash_completion.d/flt", "completion zsh", "completion fish"],
  flags: [],
  takesCommand: true,
  isLocal: true,
  async run(context) {
    const [what, ...words] = context.args;
    if (what === "words") return await answer(context, words);
    const shell = SHELLS.find((each) => each === what);
    if (shell === undefined) {
      const problem = what === undefined ? "no shell is named" : `"${what}" is not known`;
      throw new CliError(`Cannot print a completion: ${problem}; there are ${SHELLS.join(", ")}`);
    }
    context.world.out(SCRIPTS[shell]);
    return EXIT_OK;
  },
};

async function answer(context: CommandContext, words: readonly string[]): Promise<number> {
  const { candidates, takesFiles } = await complete(words, context.commands, namesFor(context, words.slice(0, -1)));
  if (takesFiles) line(context, FILES_LINE);
  for (const { value, help } of candidates) line(context, `${value}\t${help}`);
  return EXIT_OK;
}

/** Names from the daemon that the typed command would ask. Not through SSH: it could want a password. */
function namesFor(context: CommandContext, typed: readonly string[]): ClusterNames {
  const { world, program } = context;
  const none = clusterNames(null, world.clock, world.signal);
  try {
    const flags = [...GLOBAL_FLAGS, ...context.commands.flatMap((command) => command.flags)];
    // The last flag may wait for the word that is being typed.
    const { given } = splitArguments([...typed, ""], flags);
    completeFlags(given, program, world);
    const values = new FlagValues(given, GLOBAL_FLAGS);
    if (values.text("tunnel") !== "") return none;
    const client = makeClient(values, parseEndpoint(values.text("endpoint")), world);
    return clusterNames(client, world.clock, world.signal);
  } catch {
    // Half a command line may be nonsense; that is for the command to say, once it runs.
    return none;
  }
}
