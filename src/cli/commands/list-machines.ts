/**
 * flt list-machines: the machines of the cluster.
 *
 * @module
 */
import type { MachineEntity } from "../../model/entities.ts";
import { compileUnitPattern, isUnitPattern } from "../../model/unit-pattern.ts";
import { type Command, note } from "../command.ts";
import { machineIdLegend } from "../legend.ts";
import { isMachineNamed, machineFilter } from "./filters.ts";
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
  usage: "[--no-legend] [-l|--full] [--fields=LIST] [-o FORMAT] [-M ID] [MACHINE...]",
  summary: "List the machines of the cluster",
  description:
    `Fields: ${Object.keys(LISTING.columns).join(", ")}. Machines are named by the beginning of their ids, by addresses, or by patterns for either. As data a machine has its ` +
    "full id, and metadata by key. Should the cluster's data be at odds with itself, a line on stderr says so.",
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
    const wanted = context.args.map(isMeant);
    const { signal } = context.world;
    const machines = await context.client.machines(signal);
    const { alarms = [] } = await context.client.version(signal);
    for (const alarm of alarms) note(context, alarm);
    const ids = machineFilter(context, machines);
    const shown = machines.filter((machine) => {
      const isNamed = wanted.length === 0 || wanted.some((isIt) => isIt(machine));
      return isNamed && (ids?.has(machine.id) ?? true);
    });
    return printList(context, LISTING, layout, shown);
  },
};

/** An argument as a question about a machine. */
function isMeant(arg: string): (machine: MachineEntity) => boolean {
  if (!isUnitPattern(arg)) return (machine) => isMachineNamed(machine, arg);
  const glob = compileUnitPattern(arg);
  return ({ id, primaryIP }) => glob.matches(id) || glob.matches(primaryIP ?? "");
}
