/**
 * A small cluster in memory behind the production API: what a hostile request is thrown at, and what is looked at afterwards.
 *
 * Idea. One for each case, so that a case that failed fails again alone. Its state is every record of the registry with its
 * revision: a write that puts back what was there is a change, too.
 *
 * @module
 */
import { createFleetApi, type FleetApi } from "../../src/api/fleet/index.ts";
import type { Log } from "../../src/lib/log.ts";
import { SILENT_LOG } from "../../src/lib/log.ts";
import { decodeText } from "../../src/lib/text.ts";
import { RegistryMachines } from "../../src/registry/index.ts";
import { machineId, RegistryWorld, registration, unitOptions } from "../fakes/registry-world.ts";

/** Key below the prefix, to revision and value. */
export type Snapshot = ReadonlyMap<string, { readonly modRevision: number; readonly value: string }>;

/** What the cluster knows before the first hostile request: a unit in each state, a template, a global one. */
const UNITS = [
  ["hello.service", "", "launched"],
  ["loaded.service", "", "loaded"],
  ["idle.service", "Conflicts=hello*", "inactive"],
  ["web@.service", "", "inactive"],
  ["everywhere.service", "Global=true", "launched"],
] as const;
export const KNOWN_UNITS: readonly string[] = UNITS.map(([name]) => name);

/** Its options differ from those of every unit that is there. */
export const OTHER_OPTIONS = [{ section: "Service", name: "ExecStart", value: "/bin/other" }] as const;

export class ClusterUnderFire {
  readonly api: FleetApi;
  readonly #world: RegistryWorld;
  readonly #faults: string[];

  private constructor(world: RegistryWorld, api: FleetApi, faults: string[]) {
    this.#world = world;
    this.api = api;
    this.#faults = faults;
  }

  static async open(): Promise<ClusterUnderFire> {
    const world = await new RegistryWorld().start();
    await world.agents.register(registration(1, { disk: "ssd" }), 3_600_000);
    const puts = UNITS.map(([name, text, desiredState]) => {
      return { kind: "put", name, options: unitOptions(text), desiredState } as const;
    });
    await world.units.changeUnits(puts);
    await world.view.sync();
    const faults: string[] = [];
    const api = apiOver(world, faults);
    return new ClusterUnderFire(world, api, faults);
  }

  /** Runs one case on a cluster of its own. */
  static async with<T>(work: (cluster: ClusterUnderFire) => Promise<T>): Promise<T> {
    const cluster = await ClusterUnderFire.open();
    try {
      return await work(cluster);
    } finally {
      await cluster.close();
    }
  }

  async close(): Promise<void> {
    await this.#world.stop();
  }

  async snapshot(): Promise<Snapshot> {
    const { keys, local } = this.#world;
    const { kvs } = await local.range(keys.all);
    return new Map(
      kvs.map(({ key, value, modRevision }) => {
        return [decodeText(key).slice(keys.prefix.length), { modRevision, value: decodeText(value) }];
      }),
    );
  }

  /** Throws what the API has logged as a fault of its own. */
  checkFaults(): void {
    if (this.#faults.length > 0) throw new Error(`A fault in the log: ${this.#faults.splice(0).join("\n")}`);
  }
}

/** The production API over this world; what it logs as a fault of its own goes to `faults`. */
export function apiOver(world: RegistryWorld, faults: string[]): FleetApi {
  const log: Log = {
    ...SILENT_LOG,
    error: (message, fields) => void faults.push(`${message} ${fields?.stack ?? ""}`),
  };
  const nothing = async function* (): AsyncGenerator<Uint8Array> {};
  return createFleetApi({
    view: world.view,
    units: world.units,
    machines: new RegistryMachines(world.kv, world.keys),
    machineCalls: { unitStatus: nothing, unitJournal: nothing },
    inspection: { unitProperties: nothing, unitDependencies: nothing, usage: nothing },
    ready: () => true,
    tokenLimit: 100,
    version: "0",
    machineId: machineId(1),
    metricsText: async () => ({ text: "", contentType: "text/plain" }),
    log,
    clock: world.clock,
  });
}

/** Keys that were made, changed or removed. */
export function changedKeys(before: Snapshot, after: Snapshot): string[] {
  const keys = new Set([...before.keys(), ...after.keys()]);
  return [...keys].filter((key) => before.get(key)?.modRevision !== after.get(key)?.modRevision);
}

/** @param what As in "Refused with 400". */
export function mustBeUnchanged(before: Snapshot, after: Snapshot, what: string): void {
  const changed = changedKeys(before, after);
  if (changed.length > 0) throw new Error(`${what}, but the registry has changed: ${changed.join(", ")}`);
}
