/**
 * Text from the machines that hold a unit, one after the other or side by side.
 *
 * @module
 */

import { ClientError } from "../../client/index.ts";
import { decodeText, encodeText } from "../../lib/text.ts";
import { shortMachineId } from "../../model/machine.ts";
import { type CommandContext, EXIT_OK } from "../command.ts";
import { machineLegend } from "../legend.ts";
import type { UnitPicture } from "../picture.ts";
import { runOnMachine } from "../ssh/machine-shell.ts";

export interface Holder {
  readonly id: string;
  readonly primaryIP: string;
}

/** Where to ask: the unit's own machine; for a global unit, or one that is moving, each that reports it. */
export function holdersOf(picture: UnitPicture): Holder[] {
  if (picture.unit?.machine !== undefined) return [picture.unit.machine];
  return [...picture.states.values()].map((state) => state.machine);
}

/** A text, and what tells it apart from others. */
export interface Source {
  /** In the line above it. */
  readonly heading: string;
  /** Before each of its lines, where the texts are mixed. */
  readonly mark: string;
  readonly open: () => AsyncIterable<Uint8Array>;
}

/** What each of these machines says. */
export function sourcesOf(
  holders: readonly Holder[],
  open: (machineId: string) => AsyncIterable<Uint8Array>,
): Source[] {
  return holders.map(({ id, primaryIP }) => {
    return { heading: machineLegend(id, primaryIP), mark: shortMachineId(id), open: () => open(id) };
  });
}

/** One after the other, below a heading when there are several. */
export async function printInTurn(context: CommandContext, sources: readonly Source[]): Promise<void> {
  for (const [index, { heading, open }] of sources.entries()) {
    if (sources.length > 1) context.world.out(`${index > 0 ? "\n" : ""}==> ${heading} <==\n`);
    for await (const chunk of open()) await context.world.outBytes(chunk);
  }
}

/** Side by side, each line with its source's mark before it when there are several. */
export async function printMixed(context: CommandContext, sources: readonly Source[]): Promise<void> {
  if (sources.length === 1) return await printInTurn(context, sources);
  await Promise.all(
    sources.map(async (source) => {
      const mark = `${source.mark}: `;
      let rest = "";
      for await (const chunk of source.open()) {
        const lines = (rest + decodeText(chunk)).split("\n");
        rest = lines.pop() ?? "";
        if (lines.length > 0)
          await context.world.outBytes(encodeText(lines.map((text) => `${mark}${text}\n`).join("")));
      }
      if (rest !== "") context.world.out(`${mark}${rest}\n`);
    }),
  );
}

/** --ssh-port asks for SSH by being there. */
export function asksBySsh(context: CommandContext): boolean {
  return context.flags.isGiven("ssh-port");
}

/** The API does not know how to ask a machine: an older one, or a stranger in between. */
export function isMissingRoute(error: unknown): boolean {
  if (!(error instanceof ClientError)) return false;
  const isUnknownPath =
    error.status === 404 && /^(Nothing is served at|GET .* was answered with 404)/.test(error.message);
  return isUnknownPath || error.status === 405 || error.status === 501;
}

/** The same line on each machine, one after the other; returns the highest exit status. */
export async function onEachBySsh(
  context: CommandContext,
  holders: readonly Holder[],
  remoteLine: string,
): Promise<number> {
  let status = EXIT_OK;
  for (const [index, { id, primaryIP }] of holders.entries()) {
    if (holders.length > 1) {
      context.world.out(`${index > 0 ? "\n" : ""}==> ${machineLegend(id, primaryIP)} <==\n`);
    }
    status = Math.max(status, await runOnMachine(context, { host: primaryIP, remoteLine }));
  }
  return status;
}
