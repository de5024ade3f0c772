/**
 * Names of units and machines for the shell, from one look at the cluster.
 *
 * Idea. One stream of events says all that is; it is read until it is complete or the time is over, and what was heard by then
 * is offered. Somebody is waiting for a key to do something: no answer is better than a late one.
 * Invariant. Never throws: without a daemon there are no names, and nothing is said.
 *
 * @module
 */
import type { FleetClient } from "../../client/index.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Candidate, ClusterNames } from "./candidates.ts";

const LIMIT_MS = 1_000;
/** systemd's, also those that nothing is in now. */
const STATES = ["active", "reloading", "inactive", "failed", "activating", "deactivating", "loaded"];

interface Seen {
  readonly units: Map<string, Candidate>;
  readonly machines: Map<string, Candidate>;
  readonly states: Set<string>;
}

/** @param client null: there is nobody to be asked. */
export function clusterNames(client: FleetClient | null, clock: Clock, signal: AbortSignal): ClusterNames {
  let look: Promise<Seen> | undefined;
  const seen = (): Promise<Seen> => {
    look ??= lookAround(client, clock, signal);
    return look;
  };
  return {
    units: async () => [...(await seen()).units.values()],
    machines: async () => [...(await seen()).machines.values()],
    states: async () => [...(await seen()).states].map((value) => ({ value, help: "" })),
  };
}

async function lookAround(client: FleetClient | null, clock: Clock, signal: AbortSignal): Promise<Seen> {
  const seen: Seen = { units: new Map(), machines: new Map(), states: new Set(STATES) };
  if (client === null) return seen;
  const limit = new AbortController();
  const timer = clock.after(LIMIT_MS, () => limit.abort());
  try {
    for await (const event of client.events([], AbortSignal.any([signal, limit.signal]))) {
      if (event.type === "synced") break;
      if (event.type === "unit") {
        const where = event.machine === undefined ? "" : ` on ${event.machine.primaryIP || event.machine.id}`;
        seen.units.set(event.name, { value: event.name, help: `${event.desiredState}${where}` });
      } else if (event.type === "machine") {
        seen.machines.set(event.id, { value: event.id, help: event.primaryIP });
      } else if (event.type === "state") {
        seen.states.add(event.report.active).add(event.report.sub);
      }
    }
  } catch {
    // Said nowhere: the words under the cursor are not yet a command.
  } finally {
    timer.cancel();
  }
  seen.states.delete("");
  return seen;
}
