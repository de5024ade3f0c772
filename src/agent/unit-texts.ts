/**
 * UnitTexts: unit files of the store as texts, fetched when they are needed.
 *
 * Idea. Many units share a file: a hash that is being fetched is not fetched twice. Nothing is kept afterwards, since a
 * unit is loaded once.
 *
 * @module
 */
import { fenceOf } from "../model/requirements.ts";
import { serializeUnitFile, unitHash } from "../model/unit-file.ts";
import type { AgentRegistry } from "../registry/types.ts";
import { Semaphore } from "./semaphore.ts";

export interface UnitText {
  readonly text: string;
  /** It has an [Install] section. */
  readonly install: boolean;
  /** Fence=strict. */
  readonly fenced: boolean;
}

/** Reads of the store at a time: a machine that is given a thousand units at once is not to flood the leader. */
const READS_MAX = 32;

/** The store has no such file, or another one under this hash. */
export class UnitTextError extends Error {
  readonly code = "unit-file-missing";
}

export class UnitTexts {
  readonly #registry: AgentRegistry;
  readonly #timeoutMs: number;
  readonly #reads = new Semaphore(READS_MAX);
  readonly #fetching = new Map<string, Promise<UnitText>>();

  constructor(registry: AgentRegistry, timeoutMs: number) {
    this.#registry = registry;
    this.#timeoutMs = timeoutMs;
  }

  get(hash: string, signal: AbortSignal): Promise<UnitText> {
    const running = this.#fetching.get(hash);
    if (running !== undefined) return running;
    const fetching = this.#reads.run(() => this.#fetch(hash, signal)).finally(() => this.#fetching.delete(hash));
    this.#fetching.set(hash, fetching);
    return fetching;
  }

  async #fetch(hash: string, signal: AbortSignal): Promise<UnitText> {
    const options = await this.#registry.unitFile(hash, { signal, timeoutMs: this.#timeoutMs });
    if (options === undefined)
      throw new UnitTextError(`Cannot read unit file ${hash}: the store has none of this hash`);
    // A file of another hash would be replaced by itself for ever.
    if (unitHash(options) !== hash) {
      throw new UnitTextError(`Cannot use unit file ${hash}: its content in the store has another hash`);
    }
    return {
      text: serializeUnitFile(options),
      install: options.some((option) => option.section === "Install"),
      fenced: fenceOf(options) === "strict",
    };
  }
}
