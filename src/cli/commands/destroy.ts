/**
 * flt destroy: remove units from the cluster.
 *
 * @module
 */
import { sendAll } from "../change.ts";
import { type Command, EXIT_FAILED, EXIT_OK, line, note } from "../command.ts";
import { unitArguments } from "../resolve.ts";
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
    const units = unitArguments(context.args);
    const unknown = new Set<string>();
    const asked = await sendAll(context, units, "destroying", async ({ name }) => {
      if (!(await context.client.destroyUnit(name))) unknown.add(name);
    });
    const destroyed = asked.filter(({ name }) => !unknown.has(name));
    for (const { name } of destroyed) line(context, `Destroyed ${name}`);
    const unknownStatus = tellUnknown(context, [...unknown], destroyed.length);
    return asked.length < units.length ? EXIT_FAILED : unknownStatus;
  },
};
