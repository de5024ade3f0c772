/**
 * What a machine can be asked about its units, on whichever machine they are: here directly, elsewhere through that machine's daemon.
 *
 * Idea. The API asks for a machine; this file knows which one is this one. The asked daemon runs systemd's tools and streams what
 * they print. One table of methods serves both ends: how a request is read, and who answers it.
 *
 * Invariants.
 * - A machine that takes no calls (on an etcd, without listen_peer) is answered for with `not-implemented`: the client goes by SSH.
 * - What arrives from another machine is checked like any stranger's input before a child process sees it.
 *
 * @module
 */
import { type CallContext, CallError, type CallHandler, type Calls } from "../lib/calls.ts";
import { decodeText, encodeText } from "../lib/text.ts";
import { type MachineId, shortMachineId } from "../model/machine.ts";
import type { UsageRequest } from "../model/usage.ts";
import {
  type DependenciesQuery,
  type JournalQuery,
  type PropertiesQuery,
  readDependencies,
  readJournal,
  readProperties,
  readUnit,
  readUsage,
  type UnitQuery,
  unreadable,
} from "./machine-requests.ts";

export { RemoteRequestError } from "./machine-requests.ts";

/** What the agent's side of the host can show (agent/systemd/). */
export interface Inspector {
  status(query: UnitQuery, signal: AbortSignal): AsyncIterable<Uint8Array>;
  journal(query: JournalQuery, signal: AbortSignal): AsyncIterable<Uint8Array>;
  properties(query: PropertiesQuery, signal: AbortSignal): AsyncIterable<Uint8Array>;
  dependencies(query: DependenciesQuery, signal: AbortSignal): AsyncIterable<Uint8Array>;
  usage(query: UsageRequest, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

export interface MachineCallsOptions {
  readonly self: MachineId;
  readonly inspector: Inspector;
  readonly calls: Calls;
  /** Where a machine's daemon takes calls; "": nowhere; undefined when nobody knows. */
  address(id: MachineId): string | undefined;
}

interface Method<Query> {
  readonly name: string;
  /** Throws for what no daemon would send. */
  read(value: Readonly<Record<string, unknown>>): Query;
  answer(inspector: Inspector, query: Query, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

const STATUS: Method<UnitQuery> = {
  name: "unit.status",
  read: readUnit,
  answer: (inspector, query, signal) => inspector.status(query, signal),
};
const JOURNAL: Method<JournalQuery> = {
  name: "unit.journal",
  read: readJournal,
  answer: (inspector, query, signal) => inspector.journal(query, signal),
};
const PROPERTIES: Method<PropertiesQuery> = {
  name: "unit.properties",
  read: readProperties,
  answer: (inspector, query, signal) => inspector.properties(query, signal),
};
const DEPENDENCIES: Method<DependenciesQuery> = {
  name: "unit.dependencies",
  read: readDependencies,
  answer: (inspector, query, signal) => inspector.dependencies(query, signal),
};
const USAGE: Method<UsageRequest> = {
  name: "machine.usage",
  read: readUsage,
  answer: (inspector, query, signal) => inspector.usage(query, signal),
};

/** The API has a status for it that tells clients to find another way. */
export class NoCallsError extends Error {
  readonly code = "not-implemented";
}

export class DaemonMachineCalls {
  readonly #options: MachineCallsOptions;

  constructor(options: MachineCallsOptions) {
    this.#options = options;
  }

  unitStatus(machineId: MachineId, unit: string, signal: AbortSignal): AsyncIterable<Uint8Array> {
    return this.#ask(machineId, STATUS, { unit }, signal);
  }

  unitJournal(
    machineId: MachineId,
    unit: string,
    query: Omit<JournalQuery, "unit">,
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array> {
    return this.#ask(machineId, JOURNAL, { unit, ...query }, signal);
  }

  unitProperties(
    machineId: MachineId,
    unit: string,
    properties: readonly string[],
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array> {
    return this.#ask(machineId, PROPERTIES, { unit, properties }, signal);
  }

  unitDependencies(
    machineId: MachineId,
    unit: string,
    query: Omit<DependenciesQuery, "unit">,
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array> {
    return this.#ask(machineId, DEPENDENCIES, { unit, ...query }, signal);
  }

  usage(machineId: MachineId, query: UsageRequest, signal: AbortSignal): AsyncIterable<Uint8Array> {
    return this.#ask(machineId, USAGE, query, signal);
  }

  #ask<Query extends object>(
    machineId: MachineId,
    method: Method<Query>,
    query: Query,
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array> {
    const { self, inspector, calls } = this.#options;
    if (machineId === self) return method.answer(inspector, query, signal);
    const address = this.#options.address(machineId);
    if (address === "") {
      throw new NoCallsError(
        `Asking machine ${shortMachineId(machineId)} failed: its daemon has no peer port. Set listen_peer there`,
      );
    }
    if (address === undefined) {
      throw new CallError("not-sent", `Asking machine ${machineId} failed: its daemon's address is not known here`);
    }
    return calls.stream(address, method.name, encodeText(JSON.stringify(query)), { signal });
  }
}

/** What this daemon answers when another one asks. */
export function machineHandlers(inspector: Inspector): ReadonlyMap<string, CallHandler> {
  return new Map([
    handler(inspector, STATUS),
    handler(inspector, JOURNAL),
    handler(inspector, PROPERTIES),
    handler(inspector, DEPENDENCIES),
    handler(inspector, USAGE),
  ]);
}

function handler<Query>(inspector: Inspector, method: Method<Query>): [string, CallHandler] {
  const handle = (body: Uint8Array, { signal }: CallContext): AsyncIterable<Uint8Array> => {
    return method.answer(inspector, method.read(asObject(body)), signal);
  };
  return [method.name, { kind: "stream", handle }];
}

function asObject(body: Uint8Array): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(decodeText(body));
  if (typeof value !== "object" || value === null) throw unreadable("it is no object");
  return value as Readonly<Record<string, unknown>>;
}
