/**
 * Liveness: what must be true once the faults are over and time has passed.
 *
 * @module
 */
import { isFenced } from "../check/fences.ts";
import { Violation } from "../violation.ts";
import type { VirtualTime } from "../virtual-time.ts";
import type { Host } from "./host.ts";
import type { Observer } from "./observer.ts";
import type { Holders, Watchers } from "./watchers.ts";

/** Who is held to account in the end. */
export interface Settled {
  readonly time: VirtualTime;
  readonly hosts: readonly Host[];
  readonly observer: Observer;
  readonly watchers: Watchers;
  readonly holders: Holders;
}

export function settle(world: Settled): void {
  const { hosts } = world;
  oneLeads(hosts);
  allAreWhole(hosts);
  sameStores(hosts);
  world.watchers.settle();
  leasesEnded(world, hosts);
  unitsRun(world, hosts);
}

function oneLeads(hosts: readonly Host[]): void {
  const leaders = hosts.filter((host) => host.leads);
  if (leaders.length !== 1) throw new Violation("liveness", `${leaders.length} members lead in calm times`);
}

function allAreWhole(hosts: readonly Host[]): void {
  const sick = hosts.find((host) => host.isSick);
  if (sick !== undefined) throw new Violation("liveness", `host ${sick.id} has not recovered from damage to its disk`);
}

function sameStores(hosts: readonly Host[]): void {
  const states = hosts.map(({ daemon }) => {
    if (daemon === null) return "not running";
    const { revision, compactRevision, digest } = daemon.machine.store.hash();
    return `${revision} ${compactRevision} ${digest}`;
  });
  if (new Set(states).size > 1) throw new Violation("divergence", `members differ in the end: ${states.join(" | ")}`);
}

function leasesEnded(world: Settled, [host]: readonly Host[]): void {
  const leases = host?.daemon?.machine.store.leases;
  const left = world.holders.abandoned.filter((id) => leases?.get(id) !== undefined);
  if (left.length > 0) throw new Violation("lease", `${left.join(", ")} live on although nobody renews them`);
  for (const { key, lease } of world.observer.truth.live().values()) {
    if (lease === 0 || leases?.get(lease) !== undefined) continue;
    throw new Violation("lease", `key ${key} outlives its lease ${lease}`);
  }
}

/** Every unit that is wanted runs on its machine, and nothing runs elsewhere. */
function unitsRun(world: Settled, hosts: readonly Host[]): void {
  const { fences, placement } = world.observer;
  const { jobs, schedules } = placement;
  for (const [name, { machine, desiredState }] of jobs) {
    if (desiredState === "inactive") continue;
    const host = hosts.find((one) => one.machineId === machine);
    if (host === undefined) throw new Violation("units", `${name} is ${desiredState} on ${machine}, where nobody is`);
    const { active } = host.systemd.condition(name);
    const expected = desiredState === "launched" ? "active" : "inactive";
    if (active !== expected && !(isFenced(name) && fences.mayWait(world.time.now()))) {
      throw new Violation("units", `${name} is to be ${desiredState} on host ${host.id}, and is ${active}`);
    }
  }
  for (const host of hosts) {
    for (const name of host.systemd.names) {
      if (!schedules.get(name)?.has(host.machineId)) {
        throw new Violation("units", `host ${host.id} holds ${name}, which belongs elsewhere`);
      }
    }
  }
}
