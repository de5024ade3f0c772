/**
 * flt list-unit-files: every unit of the cluster, what is wanted of it and where it is placed.
 *
 * @module
 */
import { type UnitEntity, unitOptionFromEntity } from "../../model/entities.ts";
import { isGlobalFile } from "../../model/requirements.ts";
import { JOB_STATES } from "../../model/states.ts";
import { shortHash, type UnitOption, unitHash } from "../../model/unit-file.ts";
import { type Command, EXIT_FAILED, EXIT_OK, note } from "../command.ts";
import { machineAddresses, machineLegend } from "../legend.ts";
import { fits, helpsWithWords, JOB_STATE_WORDS, machineFilter, unitFilter } from "./filters.ts";
import { chosenLayout, type Listing, printList } from "./list.ts";
import { TABLE_FLAGS, UNIT_FILTER_FLAGS } from "./shared-flags.ts";

interface Row {
  readonly unit: UnitEntity;
  readonly options: readonly UnitOption[];
  readonly isGlobal: boolean;
  readonly addresses: ReadonlyMap<string, string>;
}

/** "" for global units, and for those that are nowhere. */
function targetId({ unit, isGlobal }: Row): string {
  return isGlobal ? "" : (unit.machineID ?? "");
}

function target(row: Row, isFull: boolean): string {
  if (row.isGlobal) return "global";
  const id = targetId(row);
  return id === "" ? "" : machineLegend(id, row.addresses.get(id) ?? "", isFull);
}

function currentState({ unit, isGlobal }: Row): string {
  return isGlobal ? "" : (unit.currentState ?? "");
}

function description({ options }: Row): string {
  return options.findLast((option) => option.section === "Unit" && option.name === "Description")?.value ?? "";
}

const LISTING: Listing<Row> = {
  columns: {
    unit: ({ unit }) => unit.name,
    hash: ({ options }, isFull) => (isFull ? unitHash(options) : shortHash(unitHash(options))),
    dstate: ({ unit }) => unit.desiredState ?? "",
    state: currentState,
    target,
    tmachine: target,
    global: ({ isGlobal }) => String(isGlobal),
    desc: description,
  },
  wide: ["unit", "hash", "dstate", "state", "target", "global", "desc"],
  record: (row) => ({
    unit: row.unit.name,
    hash: unitHash(row.options),
    dstate: row.unit.desiredState || null,
    state: currentState(row) || null,
    target: targetId(row) || null,
    ip: row.addresses.get(targetId(row)) || null,
    global: row.isGlobal,
    desc: description(row),
  }),
};

export const listUnitFiles: Command = {
  name: "list-unit-files",
  usage: "[--no-legend] [-l|--full] [--fields=LIST] [-o FORMAT] [-M ID] [-t TYPE] [--state=STATE] [PATTERN...]",
  summary: "List the units of the cluster, what is wanted of them and where they are placed",
  description:
    `Fields: ${Object.keys(LISTING.columns).join(", ")}. "tmachine" is the old name of "target". --state takes inactive, loaded, ` +
    "launched: what is wanted of a unit, or what its machine has done with it. A pattern that nothing matches ends with 1. As data a row " +
    "has target (the machine's full id), ip and the full hash.",
  examples: [
    "list-unit-files",
    "list-unit-files --fields=unit,global,desc",
    "list-unit-files --state=inactive 'web@*'",
    "list-unit-files -o yaml",
  ],
  flags: [
    ...TABLE_FLAGS("unit,hash,dstate,state,target", Object.keys(LISTING.columns)),
    ...UNIT_FILTER_FLAGS(JOB_STATES),
  ],
  pages: true,
  async run(context) {
    if (helpsWithWords(context, JOB_STATE_WORDS)) return EXIT_OK;
    const layout = chosenLayout(context, LISTING);
    const filter = unitFilter(context, JOB_STATE_WORDS);
    if (layout.fields.includes("tmachine")) {
      note(context, 'WARNING: The "tmachine" field is deprecated. Use "target" instead');
    }
    const { client, world } = context;
    const [units, machines] = await Promise.all([client.units(world.signal), client.machines(world.signal)]);
    const ids = machineFilter(context, machines);
    const addresses = machineAddresses(machines);
    const rows = units.map((unit): Row => {
      const options = (unit.options ?? []).map(unitOptionFromEntity);
      return { unit, options, isGlobal: isGlobalFile(unit.name, options), addresses };
    });
    const shown = rows.filter((row) => {
      const words = [row.unit.desiredState ?? "", currentState(row)];
      return (ids?.has(targetId(row)) ?? true) && fits(filter, row.unit.name, words);
    });
    printList(context, LISTING, layout, shown);
    return filter.patterns.length > 0 && shown.length === 0 ? EXIT_FAILED : EXIT_OK;
  },
};
