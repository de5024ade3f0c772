/**
 * flt list-units: what systemd says of each unit, on each machine.
 *
 * @module
 */
import type { UnitStateEntity } from "../../model/entities.ts";
import { shortHash } from "../../model/unit-file.ts";
import { type Command, EXIT_OK } from "../command.ts";
import { machineAddresses, machineLegend } from "../legend.ts";
import { activeTone } from "../output/colour.ts";
import { fits, helpsWithWords, machineFilter, SYSTEMD_STATE_WORDS, unitFilter } from "./filters.ts";
import { chosenLayout, type Listing, printList } from "./list.ts";
import { TABLE_FLAGS, UNIT_FILTER_FLAGS } from "./shared-flags.ts";

interface Row {
  readonly state: UnitStateEntity;
  readonly addresses: ReadonlyMap<string, string>;
}

const LISTING: Listing<Row> = {
  columns: {
    unit: ({ state }) => state.name,
    machine: ({ state, addresses }, isFull) => {
      const id = state.machineID ?? "";
      return id === "" ? "" : machineLegend(id, addresses.get(id) ?? "", isFull);
    },
    load: ({ state }) => state.systemdLoadState ?? "",
    active: ({ state }) => state.systemdActiveState ?? "",
    sub: ({ state }) => state.systemdSubState ?? "",
    hash: ({ state }, isFull) => (isFull ? (state.hash ?? "") : shortHash(state.hash ?? "")),
  },
  tones: {
    load: (cell) => (["loaded", "-"].includes(cell) ? null : "bad"),
    active: activeTone,
    // Its words are a type's own: "running" and "waiting" are no changes.
    sub: (cell) => (cell === "failed" ? "bad" : null),
  },
  wide: ["unit", "machine", "load", "active", "sub", "hash"],
  record: ({ state, addresses }) => ({
    unit: state.name,
    machine: state.machineID || null,
    ip: addresses.get(state.machineID ?? "") || null,
    load: state.systemdLoadState || null,
    active: state.systemdActiveState || null,
    sub: state.systemdSubState || null,
    hash: state.hash || null,
  }),
};

export const listUnits: Command = {
  name: "list-units",
  usage: "[--no-legend] [-l|--full] [--fields=LIST] [-o FORMAT] [-M ID] [-t TYPE] [--state=STATE] [PATTERN...]",
  summary: "List the units that machines hold, and what systemd says of them",
  description:
    `Fields: ${Object.keys(LISTING.columns).join(", ")}. Units that are on no machine are in list-unit-files. --state takes systemd's ` +
    "words for what a unit is in: a load, active or sub state, such as failed, running, not-found; --state=help lists them. As data a row has machine " +
    "(the full id), ip, load, active, sub and the full hash.",
  examples: [
    "list-units",
    "list-units --no-legend --fields=unit,machine",
    "list-units --state=failed",
    "list-units -t service -M 113f16a7 'web@*'",
    "list-units -o json",
  ],
  flags: [...TABLE_FLAGS("unit,machine,active,sub", Object.keys(LISTING.columns)), ...UNIT_FILTER_FLAGS()],
  pages: true,
  async run(context) {
    if (helpsWithWords(context, SYSTEMD_STATE_WORDS)) return EXIT_OK;
    const layout = chosenLayout(context, LISTING);
    const filter = unitFilter(context, SYSTEMD_STATE_WORDS);
    const { client, world } = context;
    const everything = context.flags.isGiven("machine") ? null : client.states({}, world.signal);
    const [machines, all] = await Promise.all([client.machines(world.signal), everything]);
    const ids = machineFilter(context, machines);
    const [id, ...others] = ids ?? [];
    // Of one machine alone the cluster is asked for no more than is shown.
    const query = id !== undefined && others.length === 0 ? { machineID: id } : {};
    const states = all ?? (await client.states(query, world.signal));
    const addresses = machineAddresses(machines);
    const shown = states.filter(({ name, machineID, systemdLoadState, systemdActiveState, systemdSubState }) => {
      const words = [systemdLoadState ?? "", systemdActiveState ?? "", systemdSubState ?? ""];
      return (ids?.has(machineID ?? "") ?? true) && fits(filter, name, words, systemdLoadState);
    });
    return printList(
      context,
      LISTING,
      layout,
      shown.map((state) => ({ state, addresses })),
    );
  },
};
