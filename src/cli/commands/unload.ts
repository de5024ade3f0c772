/**
 * flt unload: take units off their machines, keep their files in the cluster.
 *
 * @module
 */
import type { Command } from "../command.ts";
import { withKnownUnits } from "./known-units.ts";
import { BLOCK_FLAGS } from "./shared-flags.ts";
import { takeDown } from "./take-down.ts";

export const unload: Command = {
  name: "unload",
  usage: "[--no-block|--block-attempts=N] UNIT...",
  summary: "Stop units and take them off their machines; their files stay in the cluster",
  description: "Waits until no machine holds them any more. Global units are not waited for.",
  examples: ["unload hello.service", "unload --no-block myservice/*"],
  flags: BLOCK_FLAGS,
  run: (context) =>
    withKnownUnits(context, async (watch, units) => {
      const held = units.filter(({ name, unit }) => {
        return unit.desiredState !== "inactive" || watch.picture.get(name).states.size > 0;
      });
      return await takeDown(
        context,
        { verb: "unload", past: "unloaded", doing: "unloading", target: "gone" },
        watch,
        held,
      );
    }),
};
