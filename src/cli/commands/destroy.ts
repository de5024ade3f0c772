/**
 * flt destroy: remove units from the cluster.
 *
 * @module
 */
import { sendAll } from "../change.ts";
import { type Command, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, line, note } from "../command.ts";
import { selectUnits } from "../select.ts";
import { tellUnknown } from "./known-units.ts";
import { BLOCK_FLAGS } from "./shared-flags.ts";

export const destroy: Command = {
  name: "destroy",
  usage: "UNIT...",
  summary: "Stop units and remove them from the cluster, files and all",
  description: "The cluster forgets the unit at once; its machine stops and unloads it right after.",
  examples: ["destroy hello.service", "destroy web@1 web@2"],
  flags: BLOCK_FLAGS,
  async run(context) {
    if (context.args.length === 0) {
      note(context, "No units given");
      return EXIT_OK;
    }
    const units = await selectUnits(context, context.args, { withTemplates: true });
    const unknown = new Set<string>();
    const destroyed = await sendAll(context, units, {
      doing: "destroying",
      change: () => ({ delete: true }),
      onUnknown: ({ name }) => unknown.add(name),
    });
    for (const { name } of destroyed) line(context, `Destroyed ${name}`);
    const unknownStatus = tellUnknown(context, [...unknown], destroyed.length);
    if (destroyed.length + unknown.size === units.length) return unknownStatus;
    return context.world.signal.aborted ? EXIT_INTERRUPTED : EXIT_FAILED;
  },
};
