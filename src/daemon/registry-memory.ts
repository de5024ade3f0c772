/**
 * What this machine remembers of the registry that it is in, in its data directory (registry/guard.ts says why).
 *
 * @module
 */
import { type DataIdentity, rememberRegistry } from "../platform/data-dir.ts";
import { randomHex } from "../platform/random.ts";
import type { RegistryMemory } from "../registry/index.ts";

const NAME_BYTES = 16;

export class DataDirMemory implements RegistryMemory {
  readonly #dataDir: string;
  readonly #prefix: string;
  #known: string | null;

  /** Another key prefix than the remembered one was chosen by somebody: what is below it is new to this machine. */
  constructor(dataDir: string, { registry }: DataIdentity, prefix: string) {
    this.#dataDir = dataDir;
    this.#prefix = prefix;
    this.#known = registry?.prefix === prefix ? registry.name : null;
  }

  get known(): string | null {
    return this.#known;
  }

  async remember(name: string): Promise<void> {
    await rememberRegistry(this.#dataDir, { prefix: this.#prefix, name });
    this.#known = name;
  }

  draw(): string {
    return randomHex(NAME_BYTES);
  }
}
