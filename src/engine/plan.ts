/**
 * The planner: from what is marked in the model to decisions.
 *
 * Idea. Look at one marked unit after the other: may it stay, must it go, where to? Each move changes the model at once and
 * marks the neighbours it concerns (followers, replaced units, waiting ones), which are looked at next. At the end only
 * the difference between model and registry is written: a unit that was pushed twice is moved once.
 * Invariants.
 * - A placed unit moves only because its machine is dead, or a rule objects to it as a resident. Waiting for a machine that is
 *   not registered but not known to be dead is no reason.
 * - The moves that one move makes are in the same plan, next to it, whatever the budget.
 *
 * Not here. When to plan and what becomes of the decisions (engine.ts).
 *
 * @module
 */
import { type MachineId, shortMachineId } from "../model/machine.ts";
import type { GlobalPlacement, Placement, Refusal, Scheduled } from "../registry/types.ts";
import type { Cluster } from "./cluster.ts";
import { objection } from "./filters/index.ts";
import type { Host, Unit } from "./hosts.ts";
import { choose, whyLeave } from "./schedule.ts";

/** Machines tried for units in one plan (some 50 ms); the rest stays marked and is planned after this is written. */
const BUDGET_TRIES = 30_000;
/** Looking at a unit or a schedule key costs something even when no machine is tried. */
const LOOK_TRIES = 5;
/** A unit follows each of its targets and gives way to each unit that replaces it: more moves than this are a circle. */
const MAX_MOVES = 1_000;

export interface Plan {
  readonly placements: readonly Placement[];
  readonly globals: readonly GlobalPlacement[];
  /** Units that are nowhere, and why. */
  readonly reasons: ReadonlyMap<string, readonly Refusal[]>;
}

export function plan(cluster: Cluster, budgetTries: number = BUDGET_TRIES): Plan {
  return new Planner(cluster, budgetTries).run();
}

class Planner {
  readonly #cluster: Cluster;
  #budget: number;
  /** Units that this plan moved, and why; in the order of their first move. */
  readonly #moved = new Map<string, string>();
  readonly #moveCounts = new Map<string, number>();
  readonly #pairs = new Map<MachineId, Set<string>>();
  readonly #reasons = new Map<string, readonly Refusal[]>();
  /** Global units that may have come to fit nowhere in this plan, or somewhere again. */
  readonly #doubtful = new Set<string>();

  constructor(cluster: Cluster, budgetTries: number) {
    this.#cluster = cluster;
    this.#budget = budgetTries;
  }

  run(): Plan {
    const { dirty, offers, pairs, staleReasons } = this.#cluster;
    this.#lookAtUrgent();
    for (const id of offers) {
      if (this.#budget <= 0) break;
      offers.delete(id);
      this.#offer(id);
    }
    for (const name of dirty) {
      if (this.#budget <= 0) break;
      dirty.delete(name);
      this.#look(name);
      this.#lookAtUrgent();
    }
    for (const [id, names] of pairs) {
      if (this.#budget <= 0) break;
      pairs.delete(id);
      for (const name of names) this.#comparePair(id, name);
      this.#lookAtUrgent();
    }
    for (const name of staleReasons) {
      if (this.#budget <= 0) break;
      staleReasons.delete(name);
      if (this.#cluster.stranded.has(name)) this.#doubtful.add(name);
      else this.#look(name);
      this.#lookAtUrgent();
    }
    this.#takeBack();
    return this.#result();
  }

  /** What made a unit move may itself have moved on within this plan: then the unit stays where it runs. */
  #takeBack(): void {
    for (const name of this.#moved.keys()) {
      const unit = this.#cluster.unit(name);
      const from = unit?.job.machine ?? null;
      if (unit === undefined || from === null || unit.place === from || unit.job.desiredState === "inactive") continue;
      const host = this.#cluster.host(from);
      if (host === undefined || host.machine === null) continue;
      if (objection(unit, host, this.#cluster, "newcomer") !== null) continue;
      this.#move(unit, from, "It can stay after all");
      this.#lookAtUrgent();
    }
  }

  #lookAtUrgent(): void {
    for (const name of this.#cluster.urgent) {
      this.#cluster.urgent.delete(name);
      this.#look(name);
    }
  }

  /** A machine came, or changed: which of the waiting units fit there? They choose among all machines, then. */
  #offer(id: MachineId): void {
    const host = this.#cluster.host(id);
    if (host === undefined || host.machine === null) return;
    for (const name of this.#cluster.waiting) {
      this.#budget -= 1;
      const unit = this.#cluster.unit(name);
      if (unit === undefined || unit.needs.problem !== null) continue;
      if (objection(unit, host, this.#cluster, "newcomer") === null) this.#cluster.dirty.add(name);
    }
  }

  #look(name: string): void {
    this.#budget -= LOOK_TRIES;
    const unit = this.#cluster.unit(name);
    if (unit === undefined) return;
    if (unit.needs.global) {
      this.#doubtful.add(name);
      for (const host of this.#cluster.hosts()) this.#cluster.markPair(host.id, name);
    } else if (unit.job.desiredState === "inactive") {
      this.#move(unit, null, "It is to be inactive");
    } else {
      this.#placeWanted(unit);
    }
  }

  #placeWanted(unit: Unit): void {
    const why = this.#whyMove(unit);
    if (why === null) {
      if (unit.place !== null) this.#cluster.markPair(unit.place, unit.name);
      return;
    }
    const choice = choose(this.#cluster, unit);
    this.#budget -= choice.tried;
    if (choice.kind === "fits") {
      const { host } = choice;
      this.#reasons.delete(unit.name);
      this.#move(
        unit,
        host.id,
        `${why}; fits on ${shortMachineId(host.id)}, which has the fewest units (${host.units.size})`,
      );
      return;
    }
    this.#move(unit, null, `${why}; fits on no machine`);
    this.#cluster.startWaiting(unit, choice.isCrowdedOut);
    this.#reasons.set(unit.name, choice.refusals);
  }

  /** null: it stays where it is. */
  #whyMove(unit: Unit): string | null {
    if (unit.place === null) return "It was placed nowhere";
    const host = this.#cluster.host(unit.place);
    if (host === undefined || hasLost(host, unit)) {
      const isFenced = host !== undefined && !host.dead;
      return `Its machine ${shortMachineId(unit.place)} ${isFenced ? "is away, and has stopped it" : "is dead"}`;
    }
    if (host.machine === null) return null;
    const reason = whyLeave(this.#cluster, unit, host);
    return reason === null ? null : `Cannot stay on ${shortMachineId(host.id)} (${reason})`;
  }

  #move(unit: Unit, to: MachineId | null, why: string): void {
    if (unit.place === to) return;
    const count = (this.#moveCounts.get(unit.name) ?? 0) + 1;
    if (count > MAX_MOVES) throw new Error(`Broken planner: it moved "${unit.name}" ${count} times in one plan`);
    this.#moveCounts.set(unit.name, count);
    // The first reason is the true one: what follows within this plan is a consequence of it.
    if (!this.#moved.has(unit.name)) this.#moved.set(unit.name, why);
    else if (unit.place === null) this.#moved.set(unit.name, `${this.#moved.get(unit.name)?.split("; ")[0]}; ${why}`);
    this.#cluster.move(unit, to);
  }

  #comparePair(id: MachineId, name: string): void {
    this.#budget -= LOOK_TRIES;
    const host = this.#cluster.host(id);
    const unit = this.#cluster.unit(name);
    if (unit?.needs.global) {
      if (host !== undefined) this.#decideGlobal(unit, host);
      // That one more machine refuses a stranded unit can wait for the next safety net: all of them are asked again for it.
      const isHere = host?.units.has(name) ?? false;
      if (isHere === this.#cluster.stranded.has(name)) this.#doubtful.add(name);
      else if (!isHere) this.#cluster.staleReasons.add(name);
    }
    if (host === undefined) return;
    const names = this.#pairs.get(id);
    if (names === undefined) this.#pairs.set(id, new Set([name]));
    else names.add(name);
  }

  #decideGlobal(unit: Unit, host: Host): void {
    const isThere = host.units.has(unit.name);
    if (host.machine === null) {
      // Unknown until it comes back or is dead; only what nobody wants any more goes at once.
      if (host.dead || unit.job.desiredState === "inactive") this.#cluster.setGlobalPlace(host, unit.name, false);
      return;
    }
    host.refusedGlobals.delete(unit.name);
    if (unit.needs.problem !== null) return;
    let fits = unit.job.desiredState !== "inactive";
    if (fits) {
      const found = objection(unit, host, this.#cluster, isThere ? "resident" : "newcomer");
      fits = found === null;
      if (found?.isAboutNeighbours) host.refusedGlobals.add(unit.name);
    }
    this.#cluster.setGlobalPlace(host, unit.name, fits);
  }

  /** A global unit on some machines only is as its user wants it; on none of them it is one that fits nowhere. */
  #explainGlobals(): void {
    const { stranded } = this.#cluster;
    for (const name of this.#doubtful) {
      const unit = this.#cluster.unit(name);
      if (unit === undefined || !unit.needs.global) continue;
      const isWanted = unit.job.desiredState !== "inactive" && !this.#cluster.isHeld(name);
      const choice = isWanted ? choose(this.#cluster, unit) : null;
      if (choice?.kind === "nowhere") stranded.add(name);
      else stranded.delete(name);
      this.#reasons.set(name, choice?.kind === "nowhere" ? choice.refusals : []);
    }
  }

  #result(): Plan {
    const placements: Placement[] = [];
    for (const [name, reason] of this.#moved) {
      const unit = this.#cluster.unit(name);
      if (unit === undefined || unit.place === unit.job.machine) continue;
      const from = unit.job.machine === null ? undefined : this.#cluster.host(unit.job.machine);
      const fromIsGone = from !== undefined && hasLost(from, unit);
      placements.push({ job: unit.job, to: unit.place, reason, fromIsGone });
    }
    for (const name of this.#reasons.keys()) if (!this.#cluster.waiting.has(name)) this.#reasons.delete(name);
    this.#explainGlobals();
    return { placements, globals: this.#corrections(), reasons: this.#reasons };
  }

  #corrections(): GlobalPlacement[] {
    const corrections: GlobalPlacement[] = [];
    for (const [machineId, names] of this.#pairs) {
      const host = this.#cluster.host(machineId);
      if (host === undefined) continue;
      for (const name of names) {
        const unit = this.#cluster.unit(name);
        // A placement writes its schedule keys itself.
        if (unit !== undefined && !unit.needs.global && unit.place !== unit.job.machine) continue;
        const wanted = unit === undefined || !host.units.has(name) ? null : orderFor(unit);
        const present = host.scheduled.get(name) ?? null;
        if (isSameOrder(wanted, present) || (wanted !== null && host.machine === null)) continue;
        const machineIsGone = wanted === null && host.dead && unit !== undefined && isWantedEverywhere(unit);
        corrections.push({ machineId, name, job: unit?.job ?? null, scheduled: wanted, machineIsGone });
      }
    }
    return corrections;
  }
}

/** Whether what this machine ran of the unit, if it ran it, is over: it may run elsewhere. */
/** It leaves a machine for a rule that this one breaks, or because that is dead. */
function isWantedEverywhere({ needs, job }: Unit): boolean {
  return needs.global && job.desiredState !== "inactive";
}

function hasLost(host: Host, unit: Unit): boolean {
  return unit.needs.fenced ? host.fenced : host.dead;
}

function orderFor(unit: Unit): Scheduled | null {
  const { hash, desiredState } = unit.job;
  return desiredState === "inactive" ? null : { name: unit.name, hash, desiredState };
}

function isSameOrder(a: Scheduled | null, b: Scheduled | null): boolean {
  return a?.hash === b?.hash && a?.desiredState === b?.desiredState;
}
