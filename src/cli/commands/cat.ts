/**
 * flt cat: print unit files as the cluster holds them.
 *
 * @module
 */
import { unitOptionFromEntity } from "../../model/entities.ts";
import { serializeUnitFile } from "../../model/unit-file.ts";
import { type Command, EXIT_FAILED, EXIT_OK, EXIT_UNKNOWN_UNIT, note } from "../command.ts";
import { selectUnits } from "../select.ts";

export const cat: Command = {
  name: "cat",
  usage: "UNIT...",
  summary: "Print unit files as the cluster holds them",
  description: "Several files are separated by an empty line. Ends with 5 when one of the units is not known.",
  examples: ["cat hello.service", "cat web@.service > web@.service"],
  flags: [],
  pages: true,
  async run(context) {
    if (context.args.length === 0) {
      note(context, "One unit file must be provided");
      return EXIT_FAILED;
    }
    let status = EXIT_OK;
    let isFirst = true;
    for (const { name } of await selectUnits(context, context.args, { withTemplates: true })) {
      const unit = await context.client.unit(name, context.world.signal);
      if (unit === null) {
        note(context, `Unit ${name} not found`);
        status = context.isFleetctl ? EXIT_FAILED : EXIT_UNKNOWN_UNIT;
        continue;
      }
      if (!isFirst) context.world.out("\n");
      isFirst = false;
      context.world.out(serializeUnitFile((unit.options ?? []).map(unitOptionFromEntity)));
    }
    return status;
  },
};
