/**
 * flt status: what systemctl status says of units, on their machines.
 *
 * @module
 */

import { decodeText, encodeText } from "../../lib/text.ts";
import { reasonLines } from "../change.ts";
import {
  type Command,
  type CommandContext,
  EXIT_FAILED,
  EXIT_NO_SUCH_UNIT,
  EXIT_NOT_ACTIVE,
  EXIT_OK,
  note,
} from "../command.ts";
import { paintStatus } from "../output/status-text.ts";
import type { UnitPicture } from "../picture.ts";
import { selectUnits } from "../select.ts";
import { shellLine } from "../ssh/arguments.ts";
import { UnitWatch } from "../watch.ts";
import {
  asksBySsh,
  type Holder,
  holdersOf,
  isMissingRoute,
  onEachBySsh,
  printInTurn,
  sourcesOf,
} from "./machine-text.ts";
import { SSH_INSTEAD_FLAG } from "./shared-flags.ts";

const ACTIVE = new Set(["active", "reloading", "refreshing"]);

export const status: Command = {
  name: "status",
  usage: "UNIT...",
  summary: "Show what systemd says of units, from the machines that hold them",
  description:
    "For a unit that is on no machine: what is wanted of it, and what is in its way. Ends with systemctl's exit status: " +
    "0 active, 3 not active, 4 unknown.",
  examples: ["status hello.service", "status web@1 web@2"],
  flags: [SSH_INSTEAD_FLAG],
  pages: true,
  async run(context) {
    if (context.args.length === 0) {
      note(context, "No units given");
      return EXIT_OK;
    }
    const names = (await selectUnits(context)).map((unit) => unit.name);
    if (names.length === 0) return EXIT_OK;
    const watch = await UnitWatch.open(context, names);
    const pictures = names.map((name) => watch.picture.get(name));
    await watch.close();
    let exitStatus = EXIT_OK;
    for (const [index, picture] of pictures.entries()) {
      if (index > 0) context.world.out("\n");
      exitStatus = Math.max(exitStatus, await show(context, picture));
    }
    return exitStatus;
  },
};

async function show(context: CommandContext, picture: UnitPicture): Promise<number> {
  const { name, unit } = picture;
  const holders = holdersOf(picture);
  if (unit === null && holders.length === 0) {
    note(context, `Unit ${name} does not exist.`);
    return context.isFleetctl ? EXIT_FAILED : EXIT_NO_SUCH_UNIT;
  }
  if (holders.length === 0) {
    const reasons = picture.reasons.length === 0 ? "" : `\nIn its way:\n${reasonLines(picture.reasons)}`;
    context.world.out(`${name} is on no machine; desired state: ${unit?.desiredState ?? "inactive"}${reasons}\n`);
    return EXIT_NOT_ACTIVE;
  }
  if (asksBySsh(context)) return await overSsh(context, name, holders);
  try {
    const open = (id: string): AsyncIterable<Uint8Array> => context.client.status(name, id, context.world.signal);
    await printInTurn(
      context,
      sourcesOf(holders, (id) => painted(context, open(id))),
    );
  } catch (error) {
    if (!isMissingRoute(error)) throw error;
    return await overSsh(context, name, holders);
  }
  for (const { report } of picture.states.values()) {
    if (report.problem !== undefined) note(context, `Last order: ${report.problem}`);
  }
  const isActive = holders.every(({ id }) => ACTIVE.has(picture.states.get(id)?.report.active ?? ""));
  return isActive ? EXIT_OK : EXIT_NOT_ACTIVE;
}

/** A status is short: it is painted whole. */
async function* painted({ paint }: CommandContext, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield encodeText(paintStatus(decodeText(Buffer.concat(await Array.fromAsync(chunks))), paint));
}

async function overSsh(context: CommandContext, name: string, holders: readonly Holder[]): Promise<number> {
  return await onEachBySsh(context, holders, shellLine(["systemctl", "status", "-l", "--no-pager", "--", name]));
}
