/**
 * The engine's decisions as lines of the log, one each, once they are written.
 *
 * @module
 */
import type { Log } from "../lib/log.ts";
import type { Decision } from "../model/decisions.ts";
import { type Machine, type MachineId, shortMachineId } from "../model/machine.ts";
import type { GlobalPlacement, Placement, Refusal } from "../registry/types.ts";

/** Reasons in one line; the list itself is in the registry, for `flt status`. */
const REASONS_MAX = 5;

export class EngineLog {
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  placed({ job, to, reason }: Placement): void {
    const { name, machine: from } = job;
    if (to === null) {
      this.#info("withdrawn", `Took "${name}" off its machine: ${reason}`, name, from);
    } else if (from === null) {
      this.#info("placed", `Placed "${name}" on ${shortMachineId(to)}: ${reason}`, name, to);
    } else {
      const fields = { decision: "moved" satisfies Decision, unit: name, machine: to, from };
      this.#log.notice(`Moved "${name}" to ${shortMachineId(to)}: ${reason}`, fields);
    }
  }

  ordered({ name, machineId, scheduled }: GlobalPlacement): void {
    const where = shortMachineId(machineId);
    if (scheduled === null) this.#info("withdrawn", `Removed the order for "${name}" on ${where}`, name, machineId);
    else this.#info("placed", `Ordered "${name}" on ${where}`, name, machineId);
  }

  refused(name: string, refusals: readonly Refusal[]): void {
    const told = refusals.slice(0, REASONS_MAX).map(({ machineId, reason }) => {
      return machineId === "" ? reason : `${shortMachineId(machineId)}: ${reason}`;
    });
    const more = refusals.length > told.length ? `; and ${refusals.length - told.length} more` : "";
    const fields = { decision: "refused" satisfies Decision, unit: name };
    this.#log.notice(`Found no machine for "${name}": ${told.join("; ")}${more}`, fields);
  }

  found({ id, publicIp }: Machine): void {
    const fields = { decision: "machine-found" satisfies Decision, machine: id };
    this.#log.notice(`Found machine ${shortMachineId(id)} at ${publicIp}`, fields);
  }

  away(id: MachineId): void {
    const fields = { decision: "machine-away" satisfies Decision, machine: id };
    this.#log.notice(
      `Machine ${shortMachineId(id)} is registered no longer: it has left, or its lease is over`,
      fields,
    );
  }

  #info(decision: Decision, message: string, unit: string, machine: MachineId | null): void {
    this.#log.info(message, { decision, unit, machine: machine ?? undefined });
  }
}
