/**
 * The engine's model of the cluster: machines, the units on them, and what an event leaves to be looked at.
 *
 * Problem. 20,000 units must not be walked through because one of them changed.
 * Idea. Facts come in one at a time (setMachine, setJob, setSchedule, markDead); each marks the few units and schedule keys
 * that it can concern, and the planner (plan.ts) takes those marks and moves units, which marks their neighbours in turn.
 *
 *   dirty        units to look at           urgent        the same, because another unit moved: before all others
 *   pairs        schedule keys to compare   waiting       wanted, but placed nowhere
 *   crowded      the waiting ones that a unit's departure may help
 *   stranded     global units that are wanted and fit on no machine
 *   offers       machines that waiting units have not been tried on since they came or changed
 *
 * Invariants.
 * - A unit's `place` is its job's machine, or what the plan in the making will write; setJob() sets it right again.
 * - host.units holds exactly the units placed there and the global units scheduled there (or about to be).
 *
 * Not here. The machines' own book-keeping (hosts.ts), which machine is the right one (schedule.ts), what is written (plan.ts).
 *
 * @module
 */
import type { Machine, MachineId } from "../model/machine.ts";
import type { Job, Scheduled } from "../registry/types.ts";
import { type Host, Hosts, type MutableHost, type MutableUnit, type Unit } from "./hosts.ts";
import { matchesAny, type Needs } from "./needs.ts";

export class Cluster {
  readonly dirty = new Set<string>();
  readonly urgent = new Set<string>();
  readonly pairs = new Map<MachineId, Set<string>>();
  readonly waiting = new Set<string>();
  readonly crowded = new Set<string>();
  readonly offers = new Set<MachineId>();
  readonly stranded = new Set<string>();
  /** Waiting and stranded units whose reasons speak of machines that have come, gone or changed since. */
  readonly staleReasons = new Set<string>();

  readonly #units = new Map<string, MutableUnit>();
  readonly #hosts = new Hosts();
  readonly #followers = new Map<string, Set<string>>();
  readonly #replacing = new Map<string, Unit>();
  readonly #globals = new Set<string>();
  /** Unit to the machines that have a schedule key of it. */
  readonly #scheduledOn = new Map<string, Set<MachineId>>();

  unit(name: string): Unit | undefined {
    return this.#units.get(name);
  }
  units(): Iterable<Unit> {
    return this.#units.values();
  }
  host(id: MachineId): Host | undefined {
    return this.#hosts.get(id);
  }
  hosts(): Iterable<Host> {
    return this.#hosts.all();
  }
  /** Registered machines, the one with the fewest units first. */
  byLoad(): Iterable<Host> {
    return this.#hosts.byLoad();
  }
  get registeredCount(): number {
    return this.#hosts.registeredCount;
  }
  /** Whether some machine has this unit, or is about to. */
  isHeld(name: string): boolean {
    for (const host of this.#hosts.all()) if (host.units.has(name)) return true;
    return false;
  }
  /** Units with a MachineOf that names this one. */
  followersOf(name: string): Iterable<string> {
    return this.#followers.get(name) ?? [];
  }
  leads(name: string): boolean {
    return this.#followers.has(name);
  }
  /** Names that some MachineOf speaks of, whether or not such a unit exists. */
  leaders(): Iterable<string> {
    return this.#followers.keys();
  }
  /** Every unit with a Replaces, wherever it is. */
  replacers(): Iterable<Unit> {
    return this.#replacing.values();
  }
  missing(): ReadonlySet<MachineId> {
    return this.#hosts.missing;
  }
  unfenced(): ReadonlySet<MachineId> {
    return this.#hosts.unfenced;
  }
  get isClean(): boolean {
    return this.dirty.size + this.urgent.size + this.pairs.size + this.offers.size === 0;
  }

  setMachine(id: MachineId, machine: Machine | null): void {
    if (machine === null && (this.#hosts.get(id)?.machine ?? null) === null) return;
    const host = this.#hosts.ensure(id);
    this.#hosts.reindex(host, () => {
      host.machine = machine;
      host.dead = false;
      host.fenced = false;
    });
    for (const name of this.waiting) this.staleReasons.add(name);
    for (const name of this.stranded) this.staleReasons.add(name);
    if (machine !== null) {
      this.#lookAtAll(host);
      for (const name of this.#globals) this.markPair(id, name);
      this.offers.add(id);
    }
    this.#hosts.settle(host);
  }

  /** Says that a machine that is not registered will not come back with what it ran. */
  markDead(id: MachineId): void {
    const host = this.#hosts.get(id);
    if (host === undefined || host.machine !== null) return;
    host.dead = true;
    this.#lookAtAll(host);
    this.#hosts.settle(host);
  }

  /** Says that a machine that is not registered has stopped its fenced units. */
  markFenced(id: MachineId): void {
    const host = this.#hosts.get(id);
    if (host === undefined || host.machine !== null) return;
    host.fenced = true;
    for (const unit of host.units.values()) if (unit.needs.fenced && !unit.needs.global) this.dirty.add(unit.name);
    this.#hosts.settle(host);
  }

  setJob(name: string, job: Job | null, needs: Needs): void {
    const before = this.#units.get(name);
    if (before !== undefined && before.needs !== needs) this.#unlink(before);
    if (job === null) {
      this.#forget(name);
    } else {
      const unit: MutableUnit = before ?? { name, job, needs, place: null };
      const isNew = before === undefined || unit.needs !== needs;
      unit.job = job;
      unit.needs = needs;
      this.#units.set(name, unit);
      if (isNew) this.#link(unit);
      if (before === undefined) for (const follower of this.followersOf(name)) this.urgent.add(follower);
      this.#relocate(unit, needs.global ? null : job.machine);
      if (job.desiredState === "inactive" || unit.place !== null) this.#stopWaiting(name);
    }
    this.dirty.add(name);
    for (const id of this.#scheduledOn.get(name) ?? []) this.markPair(id, name);
  }

  setSchedule(id: MachineId, name: string, scheduled: Scheduled | null): void {
    const host = this.#hosts.ensure(id);
    const machines = this.#scheduledOn.get(name) ?? new Set();
    if (scheduled === null) {
      host.scheduled.delete(name);
      machines.delete(id);
    } else {
      host.scheduled.set(name, scheduled);
      machines.add(id);
    }
    if (machines.size === 0) this.#scheduledOn.delete(name);
    else this.#scheduledOn.set(name, machines);
    if (this.#globals.has(name)) this.setGlobalPlace(host, name, scheduled !== null);
    this.markPair(id, name);
    this.#hosts.settle(host);
  }

  /** The planner's decision for a unit that is not global. */
  move(unit: Unit, to: MachineId | null): void {
    const mutable = this.#units.get(unit.name);
    if (mutable !== undefined) this.#relocate(mutable, to);
  }

  /** The planner's decision for a global unit on one machine. */
  setGlobalPlace(host: Host, name: string, present: boolean): void {
    const unit = this.#units.get(name);
    const mutable = this.#hosts.get(host.id);
    if (unit === undefined || mutable === undefined || mutable.units.has(name) === present) return;
    if (present) this.#join(mutable, unit);
    else this.#leave(mutable, unit);
  }

  startWaiting(unit: Unit, isCrowdedOut: boolean): void {
    this.waiting.add(unit.name);
    if (isCrowdedOut) this.crowded.add(unit.name);
    else this.crowded.delete(unit.name);
    this.staleReasons.delete(unit.name);
  }
  #stopWaiting(name: string): void {
    this.waiting.delete(name);
    this.crowded.delete(name);
    this.staleReasons.delete(name);
  }

  markPair(id: MachineId, name: string): void {
    const names = this.pairs.get(id);
    if (names === undefined) this.pairs.set(id, new Set([name]));
    else names.add(name);
  }

  #forget(name: string): void {
    const unit = this.#units.get(name);
    if (unit === undefined) return;
    this.#relocate(unit, null);
    for (const id of this.#scheduledOn.get(name) ?? []) {
      const host = this.#hosts.get(id);
      if (host?.units.has(name)) this.#leave(host, unit);
    }
    this.#unlink(unit);
    this.#units.delete(name);
    this.#stopWaiting(name);
    for (const follower of this.followersOf(name)) this.urgent.add(follower);
  }

  /** Enters a unit's needs in the indexes; a global one is where its schedule keys are. */
  #link(unit: MutableUnit): void {
    for (const target of unit.needs.machineOf) {
      const followers = this.#followers.get(target);
      if (followers === undefined) this.#followers.set(target, new Set([unit.name]));
      else followers.add(unit.name);
    }
    if (unit.needs.replaces.length > 0) this.#replacing.set(unit.name, unit);
    this.#reconsiderReplaced(unit);
    if (!unit.needs.global) return;
    this.#globals.add(unit.name);
    for (const id of this.#scheduledOn.get(unit.name) ?? []) this.#join(this.#hosts.ensure(id), unit);
  }

  #unlink(unit: MutableUnit): void {
    this.#reconsiderReplaced(unit);
    for (const target of unit.needs.machineOf) {
      const followers = this.#followers.get(target);
      followers?.delete(unit.name);
      if (followers?.size === 0) this.#followers.delete(target);
    }
    this.#replacing.delete(unit.name);
    if (unit.place !== null) this.#relocate(unit, null);
    if (!this.#globals.delete(unit.name)) return;
    this.stranded.delete(unit.name);
    for (const host of this.#hosts.all()) {
      host.refusedGlobals.delete(unit.name);
      if (host.units.has(unit.name)) this.#leave(host, unit);
    }
  }

  /** Who sends whom away hangs on every Replaces and MachineOf (filters/replaces.ts): a change of one can free a waiting unit,
   *  or break a circle that held others together. */
  #reconsiderReplaced(unit: Unit): void {
    if (unit.needs.replaces.length === 0 && unit.needs.machineOf.length === 0) return;
    if (this.#replacing.size > 0) for (const name of this.crowded) this.dirty.add(name);
    for (const { place, needs } of this.#replacing.values()) {
      const host = place === null ? undefined : this.#hosts.get(place);
      for (const name of host?.units.keys() ?? []) if (matchesAny(needs.replaces, name)) this.dirty.add(name);
    }
  }

  #relocate(unit: MutableUnit, to: MachineId | null): void {
    const from = unit.place;
    if (from === to) return;
    const left = from === null ? undefined : this.#hosts.get(from);
    if (left !== undefined) this.#leave(left, unit);
    unit.place = to;
    if (to !== null) {
      this.#stopWaiting(unit.name);
      this.#join(this.#hosts.ensure(to), unit);
    }
    if (left !== undefined) this.#hosts.settle(left);
  }

  #join(host: MutableHost, unit: Unit): void {
    this.#hosts.reindex(host, () => host.units.set(unit.name, unit));
    if (unit.needs.conflicts.length > 0) host.conflicting.set(unit.name, unit);
    if (unit.needs.replaces.length > 0) {
      host.replacing.set(unit.name, unit);
      for (const name of host.units.keys()) {
        if (name !== unit.name && matchesAny(unit.needs.replaces, name)) this.urgent.add(name);
      }
    }
    // No rule would let it in; but the registry may bring it back when its departure, which let others stay, was refused.
    for (const other of host.conflicting.values()) {
      if (other !== unit && matchesAny(other.needs.conflicts, unit.name)) this.dirty.add(other.name);
    }
    for (const follower of this.followersOf(unit.name)) this.urgent.add(follower);
    this.#hosts.settle(host);
  }

  #leave(host: MutableHost, unit: Unit): void {
    this.#hosts.reindex(host, () => host.units.delete(unit.name));
    host.conflicting.delete(unit.name);
    host.replacing.delete(unit.name);
    for (const follower of this.followersOf(unit.name)) this.urgent.add(follower);
    if (host.machine === null) return;
    for (const name of host.refusedGlobals) this.markPair(host.id, name);
    for (const name of this.crowded) {
      const other = this.#units.get(name);
      if (other !== undefined && keepsApart(unit, other)) this.dirty.add(name);
    }
  }

  #lookAtAll(host: Host): void {
    for (const unit of host.units.values()) if (!unit.needs.global) this.dirty.add(unit.name);
    for (const name of host.units.keys()) this.markPair(host.id, name);
    for (const name of host.scheduled.keys()) this.markPair(host.id, name);
  }
}

/** Whether one of the two can have been what kept the other away. */
function keepsApart(there: Unit, waiting: Unit): boolean {
  return (
    matchesAny(waiting.needs.conflicts, there.name) !== undefined ||
    matchesAny(there.needs.conflicts, waiting.name) !== undefined ||
    matchesAny(there.needs.replaces, waiting.name) !== undefined
  );
}
