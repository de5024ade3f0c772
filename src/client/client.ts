/**
 * The typed client of the fleet API: one method a request, pages followed, answers checked.
 *
 * Idea. It speaks /flt/v1 throughout. What is read over the wire goes through the model's checks, so that a stranger at the
 * endpoint is a clear error and no surprise later.
 *
 * Not here. How bytes travel (http.ts takes a fetch), what a user is told (cli/).
 *
 * @module
 */

import { textLines } from "../lib/lines.ts";
import type {
  MachineEntity,
  UnitBatchItemEntity,
  UnitEntity,
  UnitPutEntity,
  UnitStateEntity,
} from "../model/entities.ts";
import {
  parseMachinePage,
  parseUnitEntity,
  parseUnitNames,
  parseUnitPage,
  parseUnitStatePage,
} from "../model/entity-input.ts";
import type { FleetEvent } from "../model/events.ts";
import type { JournalLines } from "../model/journal.ts";
import { parseUsageEvent, type UsageEvent } from "../model/usage.ts";
import { changeUnits, type UnitOutcome } from "./batch.ts";
import { ClientError } from "./errors.ts";
import { readEvents } from "./events.ts";
import { type HttpOptions, requestJson, requestStream } from "./http.ts";

const PREFIX = "/flt/v1";
/** The page counter of fleet's tokens is 16 bits wide. */
const MAX_PAGES = 65_535;
/** Status and journal start a process on the unit's machine, which may be starved. */
const TEXT_TIMEOUT_MS = 15_000;

export interface JournalOptions {
  readonly lines: JournalLines;
  readonly since?: string;
  readonly follow: boolean;
  readonly output: string;
}

export interface DependenciesOptions {
  readonly direction: "requires" | "reverse" | "before" | "after";
  readonly all: boolean;
  readonly plain: boolean;
}

export interface UsageWish {
  /** Ids; none: all machines, those that join, too. */
  readonly machines: readonly string[];
  /** None: all units. */
  readonly units: readonly string[];
  readonly intervalMs: number;
}

/** A thousand units are some 100 kB. */
const USAGE_LINE_MAX_LENGTH = 4 * 1_048_576;

export interface ServerVersion {
  readonly version: string;
  readonly machineID: string;
  readonly leader?: string;
  /** What is wrong with the cluster's data, a sentence each; absent: nothing. */
  readonly alarms?: readonly string[];
}

export interface MetadataEditEntity {
  readonly machineID: string;
  readonly key: string;
  readonly value: string | null;
}

export interface StateFilter {
  readonly unitName?: string;
  readonly machineID?: string;
}

interface Page<T> {
  readonly items: readonly T[];
  readonly nextPageToken: string;
}

export class FleetClient {
  readonly #http: HttpOptions;

  constructor(http: HttpOptions) {
    this.#http = http;
  }

  async units(signal?: AbortSignal): Promise<UnitEntity[]> {
    return await this.#pages("/units", "", signal, (body) => {
      const page = parseUnitPage(body);
      return { items: page.units ?? [], nextPageToken: page.nextPageToken ?? "" };
    });
  }

  /** Names of the units that one of the patterns describes; of all units where there is no pattern. Sorted. */
  async unitNames(patterns: readonly string[], signal?: AbortSignal): Promise<readonly string[]> {
    const query = patterns.map((pattern) => `pattern=${encodeURIComponent(pattern)}`).join("&");
    const path = `${PREFIX}/unit-names${query === "" ? "" : `?${query}`}`;
    return parseUnitNames((await requestJson(this.#http, { method: "GET", path, signal })).body ?? {}).names;
  }

  /** null when there is none. */
  async unit(name: string, signal?: AbortSignal): Promise<UnitEntity | null> {
    try {
      const { body } = await requestJson(this.#http, { method: "GET", path: unitPath(name), signal });
      return parseUnitEntity(body);
    } catch (error) {
      if (error instanceof ClientError && error.status === 404) return null;
      throw error;
    }
  }

  /** True when the unit was created or replaced, false when only its state changed. */
  async putUnit(name: string, unit: UnitPutEntity, signal?: AbortSignal): Promise<boolean> {
    const request = { method: "PUT", path: unitPath(name), body: { ...unit, name }, signal };
    return (await requestJson(this.#http, request)).status === 201;
  }

  /** True when it existed. */
  async destroyUnit(name: string, signal?: AbortSignal): Promise<boolean> {
    try {
      await requestJson(this.#http, { method: "DELETE", path: unitPath(name), signal });
      return true;
    } catch (error) {
      if (error instanceof ClientError && error.status === 404) return false;
      throw error;
    }
  }

  /**
   * Creates, changes and deletes many units, each named once, in few requests. Never throws for what happens on the way: one
   * outcome a change, in their order, says what was done, what failed and why, and what was not even sent.
   */
  changeUnits(changes: readonly UnitBatchItemEntity[], signal?: AbortSignal): Promise<UnitOutcome[]> {
    return changeUnits(this.#http, `${PREFIX}/units:batch`, changes, signal);
  }

  /** Edits of machines' metadata, all or none. `value` null: remove. */
  async editMetadata(edits: readonly MetadataEditEntity[], signal?: AbortSignal): Promise<void> {
    const body = edits.map(({ machineID, key, value }) => {
      const path = `/${machineID}/metadata/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`;
      return value === null ? { op: "remove", path } : { op: "add", path, value };
    });
    await requestJson(this.#http, { method: "PATCH", path: `${PREFIX}/machines`, body, signal });
  }

  async states(filter: StateFilter = {}, signal?: AbortSignal): Promise<UnitStateEntity[]> {
    const query = Object.entries(filter)
      .filter(([, value]) => value !== undefined && value !== "")
      .map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`)
      .join("&");
    return await this.#pages("/state", query, signal, (body) => {
      const page = parseUnitStatePage(body);
      return { items: page.states ?? [], nextPageToken: page.nextPageToken ?? "" };
    });
  }

  async machines(signal?: AbortSignal): Promise<MachineEntity[]> {
    return await this.#pages("/machines", "", signal, (body) => {
      const page = parseMachinePage(body);
      return { items: page.machines ?? [], nextPageToken: page.nextPageToken ?? "" };
    });
  }

  async version(signal?: AbortSignal): Promise<ServerVersion> {
    const { body } = await requestJson(this.#http, { method: "GET", path: `${PREFIX}/version`, signal });
    const { version, machineID, leader, alarms } = (body ?? {}) as Record<string, unknown>;
    if (typeof version !== "string" || typeof machineID !== "string") {
      throw new ClientError("bad-answer", `Cannot read the version from ${this.#http.endpoint.text}: it has none`);
    }
    return {
      version,
      machineID,
      ...(typeof leader === "string" && { leader }),
      ...(Array.isArray(alarms) && { alarms: alarms.map(String) }),
    };
  }

  /** Text of `systemctl status`, from the machine that holds the unit or the one that is named. */
  status(name: string, machineID: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const query = `?machineID=${encodeURIComponent(machineID)}`;
    const path = `${unitPath(name)}/status${query}`;
    return requestStream(this.#http, { method: "GET", path, signal, timeoutMs: this.#textTimeoutMs() });
  }

  journal(name: string, machineID: string, options: JournalOptions, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const query =
      `?machineID=${encodeURIComponent(machineID)}&lines=${options.lines}` +
      `&follow=${options.follow}&output=${encodeURIComponent(options.output)}` +
      (options.since === undefined ? "" : `&since=${encodeURIComponent(options.since)}`);
    // Bun sends no headers before the first byte of a body, and a journal that is followed may be silent for ever.
    const timeoutMs = options.follow ? null : this.#textTimeoutMs();
    return requestStream(this.#http, { method: "GET", path: `${unitPath(name)}/journal${query}`, signal, timeoutMs });
  }

  /** `Name=value` lines of `systemctl show`, from that machine; no properties: all of them. */
  properties(
    name: string,
    machineID: string,
    properties: readonly string[],
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const wanted = properties.map((property) => `&property=${encodeURIComponent(property)}`).join("");
    const path = `${unitPath(name)}/properties?machineID=${encodeURIComponent(machineID)}${wanted}`;
    return requestStream(this.#http, { method: "GET", path, signal, timeoutMs: this.#textTimeoutMs() });
  }

  /** Text of `systemctl list-dependencies`, from that machine. */
  dependencies(
    name: string,
    machineID: string,
    options: DependenciesOptions,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const query = `&direction=${options.direction}&all=${options.all}&plain=${options.plain}`;
    const path = `${unitPath(name)}/dependencies?machineID=${encodeURIComponent(machineID)}${query}`;
    return requestStream(this.#http, { method: "GET", path, signal, timeoutMs: this.#textTimeoutMs() });
  }

  #textTimeoutMs(): number {
    return Math.max(this.#http.requestTimeoutMs, TEXT_TIMEOUT_MS);
  }

  /**
   * What units and machines use: a line a machine in each interval, until the signal. No names: everything. Throws when the connection
   * ends, too.
   */
  async *usage(wish: UsageWish, signal: AbortSignal): AsyncGenerator<UsageEvent> {
    const words = [
      ...wish.machines.map((id) => `machineID=${encodeURIComponent(id)}`),
      ...wish.units.map((name) => `unitName=${encodeURIComponent(name)}`),
    ];
    const path = `${PREFIX}/usage?${["follow=true", `intervalMs=${wish.intervalMs}`, ...words].join("&")}`;
    const endless = (): ClientError => new ClientError("bad-answer", "Cannot read the usage: a line has no end");
    // Bun sends no headers before the first byte of a body: a cluster without machines has none to send.
    const chunks = requestStream(this.#http, { method: "GET", path, signal, timeoutMs: null });
    for await (const line of textLines(chunks, USAGE_LINE_MAX_LENGTH, endless)) yield parseUsageEvent(line);
    throw new ClientError("unreachable", `Lost flt at ${this.#http.endpoint.text}: its stream of usage has ended`);
  }

  /** The picture of these units, `synced`, then every change; no names: of the whole cluster. Ends with the signal. */
  events(names: readonly string[], signal: AbortSignal): AsyncGenerator<FleetEvent> {
    return readEvents(this.#http, `${PREFIX}/events`, names, signal);
  }

  async #pages<T>(
    path: string,
    query: string,
    signal: AbortSignal | undefined,
    read: (body: unknown) => Page<T>,
  ): Promise<T[]> {
    const all: T[] = [];
    let token = "";
    for (let count = 0; count < MAX_PAGES; count++) {
      const parts = [query, token === "" ? "" : `nextPageToken=${encodeURIComponent(token)}`].filter(
        (part) => part !== "",
      );
      const full = `${PREFIX}${path}${parts.length === 0 ? "" : `?${parts.join("&")}`}`;
      const page = read((await requestJson(this.#http, { method: "GET", path: full, signal })).body ?? {});
      all.push(...page.items);
      token = page.nextPageToken;
      if (token === "") return all;
    }
    throw new ClientError("bad-answer", `Cannot list ${path}: the pages have no end`);
  }
}

function unitPath(name: string): string {
  return `${PREFIX}/units/${encodeURIComponent(name)}`;
}
