/**
 * The registry's keys: how the name of a record becomes bytes below the prefix, and back.
 *
 * Idea. `kind/part` or `kind/machine/part`, as src/ARCHITECTURE.md lists them. Every name is checked before it becomes part of a
 * key, so that no name can reach into another record's place.
 *
 * Example. `Keys("/_coreos.com/fleet/").schedule(m, "hello.service")` is `/_coreos.com/fleet/schedule/<m>/hello.service`.
 *
 * @module
 */
import { decodeText, encodeText } from "../lib/text.ts";
import { MACHINE_ID_PATTERN, type MachineId } from "../model/machine.ts";
import { type Bytes, type KeyRange, prefixEnd } from "../store/kv.ts";

export const DEFAULT_KEY_PREFIX = "/_coreos.com/fleet/";

export const HASH_PATTERN = /^[0-9a-f]{40}$/;

/** What a key speaks of; null from {@link Keys.parse} for a key that is none of ours. */
export type ParsedKey =
  | { readonly kind: "unit"; readonly hash: string }
  | { readonly kind: "job" | "reason"; readonly name: string }
  | { readonly kind: "schedule" | "state"; readonly machineId: MachineId; readonly name: string }
  | { readonly kind: "machine" | "address"; readonly machineId: MachineId }
  | { readonly kind: "metadata"; readonly machineId: MachineId; readonly key: string }
  | { readonly kind: "leader" };

export class Keys {
  readonly prefix: string;
  /** Everything below the prefix. */
  readonly all: KeyRange;
  readonly leader: Bytes;
  /** The registry's own name (guard.ts); of no interest to readers of the registry. */
  readonly registry: Bytes;

  constructor(prefix: string = DEFAULT_KEY_PREFIX) {
    this.prefix = prefix.endsWith("/") ? prefix : `${prefix}/`;
    this.all = rangeOf(this.prefix);
    this.leader = encodeText(`${this.prefix}leader`);
    this.registry = encodeText(`${this.prefix}registry`);
  }

  unit(hash: string): Bytes {
    if (!HASH_PATTERN.test(hash)) throw new RangeError(`Cannot make a key of unit hash "${hash}": not 40 hex digits`);
    return this.#key(`unit/${hash}`);
  }
  job(name: string): Bytes {
    return this.#key(`job/${checkedName(name)}`);
  }
  reason(name: string): Bytes {
    return this.#key(`reason/${checkedName(name)}`);
  }
  schedule(machineId: MachineId, name: string): Bytes {
    return this.#key(`schedule/${checkedId(machineId)}/${checkedName(name)}`);
  }
  scheduleOf(machineId: MachineId): KeyRange {
    return rangeOf(`${this.prefix}schedule/${checkedId(machineId)}/`);
  }
  state(machineId: MachineId, name: string): Bytes {
    return this.#key(`state/${checkedId(machineId)}/${checkedName(name)}`);
  }
  statesOf(machineId: MachineId): KeyRange {
    return rangeOf(`${this.prefix}state/${checkedId(machineId)}/`);
  }
  machine(machineId: MachineId): Bytes {
    return this.#key(`machine/${checkedId(machineId)}`);
  }
  address(machineId: MachineId): Bytes {
    return this.#key(`address/${checkedId(machineId)}`);
  }
  /** A metadata key may hold anything but nothing: it comes last, so a slash in it leads nowhere else. */
  metadata(machineId: MachineId, key: string): Bytes {
    if (key === "") throw new RangeError("Cannot make a key of metadata: its name is empty");
    return this.#key(`metadata/${checkedId(machineId)}/${key}`);
  }

  parse(key: Bytes): ParsedKey | null {
    const text = decodeText(key);
    if (!text.startsWith(this.prefix)) return null;
    const rest = text.slice(this.prefix.length);
    if (rest === "leader") return { kind: "leader" };
    const slash = rest.indexOf("/");
    return slash < 0 ? null : parseBelow(rest.slice(0, slash), rest.slice(slash + 1));
  }

  #key(below: string): Bytes {
    return encodeText(this.prefix + below);
  }
}

function parseBelow(kind: string, rest: string): ParsedKey | null {
  switch (kind) {
    case "unit":
      return HASH_PATTERN.test(rest) ? { kind, hash: rest } : null;
    case "job":
    case "reason":
      return isName(rest) ? { kind, name: rest } : null;
    case "machine":
    case "address":
      return MACHINE_ID_PATTERN.test(rest) ? { kind, machineId: rest } : null;
    case "schedule":
    case "state":
    case "metadata":
      return parseBelowMachine(kind, rest);
    default:
      return null;
  }
}

function parseBelowMachine(kind: "schedule" | "state" | "metadata", rest: string): ParsedKey | null {
  const slash = rest.indexOf("/");
  const machineId = rest.slice(0, Math.max(slash, 0));
  const last = rest.slice(slash + 1);
  if (!MACHINE_ID_PATTERN.test(machineId) || last === "") return null;
  if (kind === "metadata") return { kind, machineId, key: last };
  return isName(last) ? { kind, machineId, name: last } : null;
}

/** The full grammar of unit names is the model's; here it only has to stay one part of a key. */
function isName(text: string): boolean {
  return text !== "" && !text.includes("/");
}

function checkedName(name: string): string {
  if (!isName(name)) throw new RangeError(`Cannot make a key of unit name "${name}": it is empty or holds a slash`);
  return name;
}

function checkedId(machineId: MachineId): MachineId {
  if (!MACHINE_ID_PATTERN.test(machineId)) {
    throw new RangeError(`Cannot make a key of machine id "${machineId}": not 32 hex digits`);
  }
  return machineId;
}

function rangeOf(prefix: string): KeyRange {
  const key = encodeText(prefix);
  return { key, end: prefixEnd(key) };
}
