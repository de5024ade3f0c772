/**
 * Status and journal of a unit, on whichever machine holds it: here directly, elsewhere through that machine's daemon.
 *
 * Idea. The API asks for a machine; this file knows which one is this one. The asked daemon runs systemctl or journalctl
 * and streams what they print.
 *
 * Invariants.
 * - What arrives from another machine is checked like any stranger's input before a child process sees it.
 *
 * @module
 */
import { type CallContext, CallError, type CallHandler, type Calls } from "../lib/calls.ts";
import { decodeText, encodeText } from "../lib/text.ts";
import type { MachineId } from "../model/machine.ts";
import { parseUnitName } from "../model/unit-name.ts";

/** The same shape that the API asks with (api/fleet/ports.ts, JournalRequest). */
export interface JournalQuery {
  readonly lines: number;
  readonly follow: boolean;
  readonly output: string;
}

/** What the agent's side of the host can show (agent/systemd/inspect.ts). */
export interface Inspector {
  status(unit: string, signal: AbortSignal): AsyncIterable<Uint8Array>;
  journal(unit: string, query: JournalQuery, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

export interface MachineCallsOptions {
  readonly self: MachineId;
  readonly inspector: Inspector;
  readonly calls: Calls;
  /** Where a machine's daemon takes calls; "" or undefined when nobody knows. */
  address(id: MachineId): string | undefined;
}

export const STATUS_METHOD = "unit.status";
export const JOURNAL_METHOD = "unit.journal";
const MOST_LINES = 1_000_000;

export class RemoteRequestError extends Error {
  readonly code = "bad-request";
}

export class DaemonMachineCalls {
  readonly #options: MachineCallsOptions;

  constructor(options: MachineCallsOptions) {
    this.#options = options;
  }

  unitStatus(machineId: MachineId, unit: string, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const { self, inspector } = this.#options;
    if (machineId === self) return inspector.status(unit, signal);
    return this.#remote(machineId, STATUS_METHOD, { unit }, signal);
  }

  unitJournal(machineId: MachineId, unit: string, query: JournalQuery, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const { self, inspector } = this.#options;
    if (machineId === self) return inspector.journal(unit, query, signal);
    return this.#remote(machineId, JOURNAL_METHOD, { unit, ...query }, signal);
  }

  #remote(machineId: MachineId, method: string, request: object, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const address = this.#options.address(machineId);
    if (address === undefined || address === "") {
      throw new CallError("not-sent", `Asking machine ${machineId} failed: its daemon's address is not known here`);
    }
    return this.#options.calls.stream(address, method, encodeText(JSON.stringify(request)), { signal });
  }
}

/** What this daemon answers when another one asks. */
export function machineHandlers(inspector: Inspector): ReadonlyMap<string, CallHandler> {
  return new Map<string, CallHandler>([
    [
      STATUS_METHOD,
      {
        kind: "stream",
        handle: (body: Uint8Array, context: CallContext) => inspector.status(readRequest(body).unit, context.signal),
      },
    ],
    [
      JOURNAL_METHOD,
      {
        kind: "stream",
        handle: (body: Uint8Array, context: CallContext) => {
          const { unit, ...query } = readRequest(body);
          return inspector.journal(unit, query, context.signal);
        },
      },
    ],
  ]);
}

function readRequest(body: Uint8Array): JournalQuery & { readonly unit: string } {
  const value: unknown = JSON.parse(decodeText(body));
  if (typeof value !== "object" || value === null) throw new RemoteRequestError("Reading a request failed: no object");
  const { unit, lines = 0, follow = false, output = "short" } = value as Record<string, unknown>;
  if (typeof unit !== "string") throw new RemoteRequestError("Reading a request failed: it names no unit");
  parseUnitName(unit);
  if (typeof lines !== "number" || !Number.isInteger(lines) || lines < 0 || lines > MOST_LINES) {
    throw new RemoteRequestError(`Reading a request failed: ${String(lines)} is no number of lines`);
  }
  if (typeof output !== "string" || !/^[a-z-]{1,32}$/.test(output)) {
    throw new RemoteRequestError("Reading a request failed: its output mode is not a word");
  }
  return { unit, lines, follow: follow === true, output };
}
