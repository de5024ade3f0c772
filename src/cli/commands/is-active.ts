/**
 * flt is-active and is-failed: one word a unit, and an exit status for scripts.
 *
 * Idea. The word is systemd's active state, as the unit's machine last reported it. A global unit has one on each machine: its word
 * is the worst of them, so that "active" means active everywhere.
 *
 * Decision. A unit that the cluster does not know is "inactive" and ends with the same status as one that is: so does the systemctl of the
 * hosts (252). The manual's table says 4 for it, and systemctl does since 254; a script that tells the two apart asks `flt show` for LoadState.
 *
 * @module
 */
import { type Command, type CommandContext, EXIT_FAILED, EXIT_NOT_ACTIVE, EXIT_OK, line, note } from "../command.ts";
import type { UnitPicture } from "../picture.ts";
import { selectUnits } from "../select.ts";
import { UnitWatch } from "../watch.ts";
import { QUIET_FLAG } from "./shared-flags.ts";

/** Worst first. What is not in the list (a newer systemd's word) counts as bad as failed. */
const BY_GRAVITY = [
  "failed",
  "inactive",
  "deactivating",
  "maintenance",
  "activating",
  "refreshing",
  "reloading",
  "active",
];

export const isActive: Command = {
  name: "is-active",
  usage: "[-q|--quiet] UNIT...",
  summary: "Say whether units are active",
  description:
    "Prints the active state of each unit: active, inactive, failed, activating and so on; of a global unit the worst on any machine. Ends " +
    "with the exit status of systemctl (as of systemd 252, which Debian 12 has): 0 when at least one of the units is active, 3 when none is. " +
    "A unit that nobody knows is inactive; with systemd 254 and later systemctl ends with 4 where it knows none.",
  examples: ["is-active hello.service", "is-active --quiet hello.service", "is-active 'web@*'"],
  flags: [QUIET_FLAG],
  run: (context) => report(context, ["active", "reloading", "refreshing"], EXIT_NOT_ACTIVE),
};

export const isFailed: Command = {
  name: "is-failed",
  usage: "[-q|--quiet] UNIT...",
  summary: "Say whether units have failed",
  description:
    "Prints the active state of each unit, as is-active does. Ends with the exit status of systemctl (as of systemd 252, which Debian 12 has): " +
    "0 when at least one of the units has failed, 1 when none has, known or not.",
  examples: ["is-failed hello.service", "is-failed --quiet 'web@*'"],
  flags: [QUIET_FLAG],
  run: (context) => report(context, ["failed"], EXIT_FAILED),
};

/** @param otherwise The exit status when no unit is in one of the states. */
async function report(context: CommandContext, states: readonly string[], otherwise: number): Promise<number> {
  if (context.args.length === 0) {
    note(context, "No units given");
    return EXIT_FAILED;
  }
  const isQuiet = context.flags.isOn("quiet");
  const names = (await selectUnits(context, context.args, { quiet: isQuiet })).map((unit) => unit.name);
  if (names.length === 0) return otherwise;
  const watch = await UnitWatch.open(context, names);
  const pictures = names.map((name) => watch.picture.get(name));
  await watch.close();
  const words = pictures.map(activeState);
  if (!isQuiet) for (const word of words) line(context, word);
  if (words.some((word) => states.includes(word))) return EXIT_OK;
  return otherwise;
}

/** Of a unit that moves the state where it is placed; "inactive" for one that is nowhere. */
function activeState({ unit, states }: UnitPicture): string {
  const placed = unit?.machine === undefined ? undefined : states.get(unit.machine.id);
  const words = (placed === undefined ? [...states.values()] : [placed]).map(({ report }) => report.active);
  const known = words.map((word) => ({ word, gravity: BY_GRAVITY.indexOf(word) }));
  known.sort((one, other) => one.gravity - other.gravity);
  return known[0]?.word ?? "inactive";
}
