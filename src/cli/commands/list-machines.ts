/**
 * flt list-machines: the machines of the cluster.
 *
 * @module
 */
import type { MachineEntity } from "../../model/entities.ts";
import { compileUnitPattern, matchesSome } from "../../model/unit-pattern.ts";
import type { Command } from "../command.ts";
import { machineIdLegend } from "../legend.ts";
import { machineFilter } from "./filters.ts";
import { chosenLayout, type Listing, printList } from "./list.ts";
import { TABLE_FLAGS } from "./shared-flags.ts";

const LISTING: Listing<MachineEntity> = {
  columns: {
    machine: ({ id }, isFull) => machineIdLegend(id, isFull),
    ip: ({ primaryIP }) => primaryIP ?? "",
    metadata: ({ metadata }) =>
      Object.entries(metadata ?? {})
        .map(([key, value]) => `${key}=${value}`)
        .sort()
        .join(","),
  },
  wide: ["machine", "ip", "metadata"],
  record: ({ id, primaryIP, metadata }) => ({ machine: id, ip: primaryIP || null, metadata: metadata ?? {} }),
};

export const listMachines: Command = {
  name: "list-machines",
  usage: "[--no-legend] [-l|--full] [--fields=LIST] [-o FORMAT] [-M ID] [PATTERN...]",
  summary: "List the machines of the cluster",
  description:
    `Fields: ${Object.keys(LISTING.columns).join(", ")}. A pattern is compared with ids and addresses. As data a machine has its ` +
    "full id, and metadata by key.",
  examples: [
    "list-machines",
    "list-machines --full --no-legend --fields=machine",
    "list-machines '10.0.0.*'",
    "list-machines -o json",
  ],
  flags: TABLE_FLAGS("machine,ip,metadata", Object.keys(LISTING.columns)),
  pages: true,
  async run(context) {
    const layout = chosenLayout(context, LISTING);
    const patterns = context.args.map(compileUnitPattern);
    const machines = await context.client.machines(context.world.signal);
    const ids = machineFilter(context, machines);
    const shown = machines.filter(({ id, primaryIP }) => {
      const isMatch = matchesSome(patterns, id) || matchesSome(patterns, primaryIP ?? "");
      return isMatch && (ids?.has(id) ?? true);
    });
    return printList(context, LISTING, layout, shown);
  },
};
