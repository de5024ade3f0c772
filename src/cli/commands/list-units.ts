/**
 * flt list-units: what systemd says of each unit, on each machine.
 *
 * @module
 */
import type { UnitStateEntity } from "../../model/entities.ts";
import { shortHash } from "../../model/unit-file.ts";
import type { Command } from "../command.ts";
import { machineAddresses, machineLegend } from "../legend.ts";
import { type Columns, chosenFields, printTable } from "./list.ts";
import { TABLE_FLAGS } from "./shared-flags.ts";

interface Row {
  readonly state: UnitStateEntity;
  readonly addresses: ReadonlyMap<string, string>;
}

const COLUMNS: Columns<Row> = {
  unit: ({ state }) => state.name,
  machine: ({ state, addresses }, isFull) => {
    const id = state.machineID ?? "";
    return id === "" ? "" : machineLegend(id, addresses.get(id) ?? "", isFull);
  },
  load: ({ state }) => state.systemdLoadState ?? "",
  active: ({ state }) => state.systemdActiveState ?? "",
  sub: ({ state }) => state.systemdSubState ?? "",
  hash: ({ state }, isFull) => (isFull ? (state.hash ?? "") : shortHash(state.hash ?? "")),
};

export const listUnits: Command = {
  name: "list-units",
  usage: "[--no-legend] [-l|--full] [--fields=LIST]",
  summary: "List the units that machines hold, and what systemd says of them",
  description: `Fields: ${Object.keys(COLUMNS).join(", ")}. Units that are on no machine are in list-unit-files.`,
  examples: ["list-units", "list-units --no-legend --fields=unit,machine", "list-units --full"],
  flags: TABLE_FLAGS("unit,machine,active,sub"),
  async run(context) {
    const fields = chosenFields(context, COLUMNS);
    const { client, world } = context;
    const [states, machines] = await Promise.all([client.states({}, world.signal), client.machines(world.signal)]);
    const addresses = machineAddresses(machines);
    return printTable(
      context,
      COLUMNS,
      fields,
      states.map((state) => ({ state, addresses })),
    );
  },
};
