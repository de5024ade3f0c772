/**
 * flt list-unit-files: every unit of the cluster, what is wanted of it and where it is placed.
 *
 * @module
 */
import { type UnitEntity, unitOptionFromEntity } from "../../model/entities.ts";
import { parseRequirements } from "../../model/requirements.ts";
import { shortHash, type UnitOption, unitHash } from "../../model/unit-file.ts";
import { type Command, note } from "../command.ts";
import { machineAddresses, machineLegend } from "../legend.ts";
import { type Columns, chosenFields, printTable } from "./list.ts";
import { TABLE_FLAGS } from "./shared-flags.ts";

interface Row {
  readonly unit: UnitEntity;
  readonly options: readonly UnitOption[];
  readonly isGlobal: boolean;
  readonly addresses: ReadonlyMap<string, string>;
}

function target({ unit, isGlobal, addresses }: Row, isFull: boolean): string {
  if (isGlobal) return "global";
  const id = unit.machineID ?? "";
  return id === "" ? "" : machineLegend(id, addresses.get(id) ?? "", isFull);
}

function description({ options }: Row): string {
  return options.findLast((option) => option.section === "Unit" && option.name === "Description")?.value ?? "";
}

/** A table is no place to refuse a unit: what this version cannot read is shown as what it is. */
function isGlobalFile(name: string, options: readonly UnitOption[]): boolean {
  try {
    return parseRequirements(name, options).global;
  } catch {
    return false;
  }
}

const COLUMNS: Columns<Row> = {
  unit: ({ unit }) => unit.name,
  hash: ({ options }, isFull) => (isFull ? unitHash(options) : shortHash(unitHash(options))),
  dstate: ({ unit }) => unit.desiredState ?? "",
  state: ({ unit, isGlobal }) => (isGlobal ? "" : (unit.currentState ?? "")),
  target,
  tmachine: target,
  global: ({ isGlobal }) => String(isGlobal),
  desc: description,
};

export const listUnitFiles: Command = {
  name: "list-unit-files",
  usage: "[--no-legend] [-l|--full] [--fields=LIST]",
  summary: "List the units of the cluster, what is wanted of them and where they are placed",
  description: `Fields: ${Object.keys(COLUMNS).join(", ")}. "tmachine" is the old name of "target".`,
  examples: ["list-unit-files", "list-unit-files --fields=unit,global,desc"],
  flags: TABLE_FLAGS("unit,hash,dstate,state,target"),
  async run(context) {
    const fields = chosenFields(context, COLUMNS);
    if (fields.includes("tmachine")) {
      note(context, 'WARNING: The "tmachine" field is deprecated. Use "target" instead');
    }
    const { client, world } = context;
    const [units, machines] = await Promise.all([client.units(world.signal), client.machines(world.signal)]);
    const addresses = machineAddresses(machines);
    const rows = units.map((unit): Row => {
      const options = (unit.options ?? []).map(unitOptionFromEntity);
      return { unit, options, isGlobal: isGlobalFile(unit.name, options), addresses };
    });
    return printTable(context, COLUMNS, fields, rows);
  },
};
