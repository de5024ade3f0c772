/**
 * flt list-machines: the machines of the cluster.
 *
 * @module
 */
import type { MachineEntity } from "../../model/entities.ts";
import type { Command } from "../command.ts";
import { machineIdLegend } from "../legend.ts";
import { type Columns, chosenFields, printTable } from "./list.ts";
import { TABLE_FLAGS } from "./shared-flags.ts";

const COLUMNS: Columns<MachineEntity> = {
  machine: ({ id }, isFull) => machineIdLegend(id, isFull),
  ip: ({ primaryIP }) => primaryIP ?? "",
  metadata: ({ metadata }) =>
    Object.entries(metadata ?? {})
      .map(([key, value]) => `${key}=${value}`)
      .sort()
      .join(","),
};

export const listMachines: Command = {
  name: "list-machines",
  usage: "[--no-legend] [-l|--full] [--fields=LIST]",
  summary: "List the machines of the cluster",
  description: `Fields: ${Object.keys(COLUMNS).join(", ")}.`,
  examples: ["list-machines", "list-machines --full --no-legend --fields=machine"],
  flags: TABLE_FLAGS("machine,ip,metadata"),
  async run(context) {
    const fields = chosenFields(context, COLUMNS);
    return printTable(context, COLUMNS, fields, await context.client.machines(context.world.signal));
  },
};
