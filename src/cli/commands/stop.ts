/**
 * flt stop: stop units, keep them loaded where they are.
 *
 * @module
 */
import { type Command, EXIT_FAILED, note } from "../command.ts";
import { withKnownUnits } from "./known-units.ts";
import { BLOCK_FLAGS } from "./shared-flags.ts";
import { takeDown } from "./take-down.ts";

export const stop: Command = {
  name: "stop",
  usage: "[--no-block|--block-attempts=N] UNIT...",
  summary: "Stop units; they stay loaded on their machines",
  description: "Waits until systemd has stopped them. Global units are stopped everywhere and are not waited for.",
  examples: ["stop hello.service", "stop --no-block myservice/*"],
  flags: BLOCK_FLAGS,
  run: (context) =>
    withKnownUnits(
      context,
      async (watch, units) => {
        // Also a global one: fleet's client made it loaded on each machine, and a stop must never bring a unit anywhere.
        const inactive = units.filter(({ unit }) => unit.desiredState === "inactive");
        for (const { name } of inactive) note(context, `Unable to stop unit ${name} in state inactive`);
        if (inactive.length > 0) return EXIT_FAILED;
        const running = units.filter(({ name, unit }) => {
          const report =
            unit.machine === undefined ? undefined : watch.picture.get(name).states.get(unit.machine.id)?.report;
          return unit.global || unit.desiredState !== "loaded" || report?.jobState === "launched";
        });
        return await takeDown(
          context,
          { verb: "stop", past: "stopped", doing: "stopping", target: "stopped" },
          watch,
          running,
        );
      },
      { passesInactive: true },
    ),
};
