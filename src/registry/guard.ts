/**
 * RegistryGuard: keeps an agent from obeying a store that is not its registry.
 *
 * Problem. To an agent, an etcd that has lost its data, or another one at a wrong address, looks like a cluster that wants nothing: it
 * would stop every unit of its machine.
 * Idea. A registry gets a random name when its first machine comes. Each machine remembers it, and takes orders only together
 * with that name, in one read.
 *
 * Invariants.
 * - The name is remembered before anything is done that follows from the registry.
 * - No machine registers where the name is another one, or where there is none although there must be one.
 *
 * Not here. A store of flt's own: its members' disks are the registry, and a machine that forgets is a new one.
 *
 * @module
 */
import type { Bytes, CallOptions, Compare, Kv } from "../store/kv.ts";
import type { Keys } from "./keys.ts";
import { absent, put, read } from "./operations.ts";
import { decodeRegistry, encodeRegistry } from "./records.ts";
import { RegistryError } from "./types.ts";

/** What this machine knows of the registry over its restarts. */
export interface RegistryMemory {
  /** Its name; null: this machine was never in one. */
  readonly known: string | null;
  remember(name: string): Promise<void>;
  /** A name that nobody else draws. */
  draw(): string;
}

export class RegistryGuard {
  readonly #kv: Kv;
  readonly #keys: Keys;
  readonly #memory: RegistryMemory;
  /** The record of this machine's registry, as it stands in the store. */
  #record: Bytes | null = null;

  constructor(kv: Kv, keys: Keys, memory: RegistryMemory) {
    this.#kv = kv;
    this.#keys = keys;
    this.#memory = memory;
  }

  /** Rejects with `other-registry` when the store does not hold this machine's registry. */
  async confirm(options?: CallOptions): Promise<void> {
    const { known } = this.#memory;
    const found = known === null ? await this.#foundOrMade(options) : await this.#read(options);
    if (found === undefined) throw this.refusal("is empty");
    const name = decodeRegistry(found);
    if (known === null) await this.#memory.remember(name);
    else if (name !== known) throw this.refusal("is another one");
    this.#record = found;
  }

  /** Holds in this machine's registry alone; nothing holds before confirm(). */
  get comparison(): Compare {
    if (this.#record === null) throw new Error("Assertion failed: a registry was read before it was confirmed");
    return { key: this.#keys.registry, target: "value", result: "=", value: this.#record };
  }

  refusal(how: string): RegistryError {
    return new RegistryError(
      "other-registry",
      `Cannot take orders from this store: its registry at "${this.#keys.prefix}" ${how}, not the one that this machine belongs to. ` +
        "Units stay as they are. Were etcd's data lost, or is etcd_servers wrong? To join this registry, which stops all units that it " +
        "does not know of: remove identity.json from data_dir, restart flt",
    );
  }

  async #read(options?: CallOptions): Promise<Bytes | undefined> {
    return (await this.#kv.range({ key: this.#keys.registry }, options)).kvs[0]?.value;
  }

  async #foundOrMade(options?: CallOptions): Promise<Bytes> {
    const key = this.#keys.registry;
    const record = encodeRegistry(this.#memory.draw());
    const answer = await this.#kv.txn(
      { compare: [absent(key)], success: [put(key, record)], failure: [read({ key })] },
      options,
    );
    const [result] = answer.results;
    return (result?.op === "range" ? result.kvs[0]?.value : undefined) ?? record;
  }
}
