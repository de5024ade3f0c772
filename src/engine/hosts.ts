/**
 * The machines of the engine's model: what each holds, and in which order newcomers are offered to them.
 *
 * Invariants.
 * - byLoad holds exactly the registered machines, the emptiest first, ties by id.
 * - `missing` and `unfenced` are true of every machine that settle() has seen since it changed; one that is neither registered nor
 *   holds anything is forgotten.
 *
 * Not here. What a change of a machine leaves to be looked at (cluster.ts).
 *
 * @module
 */
import { BTree } from "../lib/ordered-map.ts";
import type { Machine, MachineId } from "../model/machine.ts";
import type { Job, Scheduled } from "../registry/types.ts";
import type { Needs } from "./needs.ts";

export interface Unit {
  readonly name: string;
  readonly job: Job;
  readonly needs: Needs;
  readonly place: MachineId | null;
}
export interface MutableUnit extends Unit {
  job: Job;
  needs: Needs;
  place: MachineId | null;
}

export interface Host {
  readonly id: MachineId;
  /** null: not registered now. */
  readonly machine: Machine | null;
  /** Not registered, and its kernel is silent: what it holds is to be placed elsewhere. */
  readonly dead: boolean;
  /** Not registered for so long that it has surely stopped its fenced units, dead or not. */
  readonly fenced: boolean;
  readonly units: ReadonlyMap<string, Unit>;
  /** Those of `units` that keep some newcomers away. */
  readonly conflicting: ReadonlyMap<string, Unit>;
  readonly replacing: ReadonlyMap<string, Unit>;
  /** The schedule keys as they are in the registry. */
  readonly scheduled: ReadonlyMap<string, Scheduled>;
  /** Global units that did not fit here because of a neighbour. */
  readonly refusedGlobals: Set<string>;
}
export interface MutableHost extends Host {
  machine: Machine | null;
  dead: boolean;
  fenced: boolean;
  readonly units: Map<string, Unit>;
  readonly conflicting: Map<string, Unit>;
  readonly replacing: Map<string, Unit>;
  readonly scheduled: Map<string, Scheduled>;
}

export class Hosts {
  readonly #hosts = new Map<MachineId, MutableHost>();
  readonly #byLoad = new BTree<string, Host>(undefined, (a, b) => (a < b ? -1 : a > b ? 1 : 0));
  readonly #missing = new Set<MachineId>();
  readonly #unfenced = new Set<MachineId>();

  get(id: MachineId): MutableHost | undefined {
    return this.#hosts.get(id);
  }
  all(): Iterable<MutableHost> {
    return this.#hosts.values();
  }
  /** Registered machines, the one with the fewest units first. */
  byLoad(): Iterable<Host> {
    return this.#byLoad.values();
  }
  get registeredCount(): number {
    return this.#byLoad.size;
  }
  /** Registered no more, not known to be dead, and not empty. */
  get missing(): ReadonlySet<MachineId> {
    return this.#missing;
  }
  /** Registered no more, not empty, and perhaps at work on units that are fenced. */
  get unfenced(): ReadonlySet<MachineId> {
    return this.#unfenced;
  }

  /** The machine of this id, made when nothing was known of it. */
  ensure(id: MachineId): MutableHost {
    let host = this.#hosts.get(id);
    if (host === undefined) {
      host = {
        id,
        machine: null,
        dead: false,
        fenced: false,
        units: new Map(),
        conflicting: new Map(),
        replacing: new Map(),
        scheduled: new Map(),
        refusedGlobals: new Set(),
      };
      this.#hosts.set(id, host);
    }
    return host;
  }

  /** Changes what byLoad's order hangs on. */
  reindex(host: MutableHost, change: () => void): void {
    if (host.machine !== null) this.#byLoad.delete(loadKey(host));
    change();
    if (host.machine !== null) this.#byLoad.set(loadKey(host), host);
  }

  /** To be called when a machine came, went, filled or emptied. */
  settle(host: MutableHost): void {
    const isEmpty = host.units.size === 0 && host.scheduled.size === 0;
    const isAway = host.machine === null && !isEmpty;
    if (isAway && !host.dead) this.#missing.add(host.id);
    else this.#missing.delete(host.id);
    if (isAway && !host.fenced) this.#unfenced.add(host.id);
    else this.#unfenced.delete(host.id);
    if (host.machine === null && isEmpty && this.#hosts.get(host.id) === host) this.#hosts.delete(host.id);
  }
}

function loadKey(host: Host): string {
  return `${String(host.units.size).padStart(8, "0")}/${host.id}`;
}
