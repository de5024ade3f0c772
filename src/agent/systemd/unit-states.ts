/**
 * UnitStates: what systemd last said of the units that are held.
 *
 * Idea. systemd signals active and sub states; load states it never does. Those can change only when systemd reads files again: at
 * the end of each reload everything is read anew, and so is a unit that changes while it was not simply loaded.
 *
 * Invariants.
 * - What was heard since a question was asked wins over its answer, but for the load state.
 * - Each change is told once. A failure is told with its result, of which systemd signals nothing.
 *
 * @module
 */
import { type Log, reasonOf } from "../../lib/log.ts";
import { DORMANT, sameCondition, type UnitCondition, UnitManagerError } from "../unit-manager.ts";
import { BusRefusal } from "./bus.ts";
import type { ManagerCalls } from "./manager-calls.ts";
import { resultInterface, unitPath } from "./names.ts";
import { ignoreUnknownUnit } from "./refusals.ts";

export interface UnitStatesOptions {
  readonly calls: Pick<ManagerCalls, "call" | "property">;
  readonly log: Log;
  readonly onChange: (name: string, condition: UnitCondition) => void;
  /** systemd has read its files again and found none for this unit. */
  readonly onUnlinked: (name: string) => void;
}

interface Known {
  condition: UnitCondition;
  /** The number of the last signal about it. */
  heard: number;
  /** It has failed, and is told once the reason is read. */
  isUntold: boolean;
}

/** Names in one ListUnitsByNames; its answer is about 300 bytes a unit. */
const NAMES_MAX = 500;

export class UnitStates {
  readonly #options: UnitStatesOptions;
  readonly #known = new Map<string, Known>();
  /** Counts the signals about units. */
  #signals = 0;

  constructor(options: UnitStatesOptions) {
    this.#options = options;
  }

  names(): string[] {
    return [...this.#known.keys()];
  }

  has(name: string): boolean {
    return this.#known.has(name);
  }

  /** These are held, and no others. */
  hold(names: ReadonlySet<string>): void {
    for (const name of this.#known.keys()) if (!names.has(name)) this.#known.delete(name);
    for (const name of names) if (!this.#known.has(name)) this.loaded(name);
  }

  /** A file was loaded that has run nothing yet. */
  loaded(name: string): void {
    this.#known.set(name, { condition: DORMANT, heard: 0, isUntold: false });
  }

  forget(name: string): void {
    this.#known.delete(name);
  }

  /**
   * A signal that was read together with the answer is seen before it, and may be newer: what was heard since the
   * question wins. (Were it older, another signal is on its way.)
   */
  async read(names: readonly string[]): Promise<ReadonlyMap<string, UnitCondition>> {
    const asked = this.#signals;
    const answers = new Map<string, UnitCondition>();
    for (let at = 0; at < names.length; at += NAMES_MAX) {
      const [rows] = await this.#options.calls.call("ListUnitsByNames", "as", [names.slice(at, at + NAMES_MAX)]);
      for (const [name, , load, active, sub] of rows as readonly string[][]) {
        if (name === undefined || load === undefined || active === undefined || sub === undefined) continue;
        answers.set(name, { load, active, sub });
      }
    }
    const failed = [...answers].filter(([, condition]) => condition.active === "failed").map(([name]) => name);
    const results = new Map(await Promise.all(failed.map(async (name) => [name, await this.#result(name)] as const)));
    for (const [name, answer] of answers) {
      const known = this.#known.get(name);
      let condition = answer;
      if (known !== undefined && known.heard > asked) condition = { ...known.condition, load: answer.load };
      const result = results.get(name);
      if (condition.active === "failed" && result !== undefined) condition = { ...condition, result };
      answers.set(name, condition);
      if (known !== undefined) known.condition = condition;
    }
    return answers;
  }

  /** systemd signals a new state; undefined: this half of it is as it was. */
  hear(name: string, newActive: string | undefined, newSub: string | undefined): void {
    const known = this.#known.get(name);
    if (known === undefined) return;
    const { load, active, sub } = known.condition;
    const condition: UnitCondition = { load, active: newActive ?? active, sub: newSub ?? sub };
    known.heard = ++this.#signals;
    if (condition.active === active && condition.sub === sub) return;
    const hasFailed = condition.active === "failed" && resultInterface(name) !== undefined;
    if (hasFailed) {
      known.condition = condition;
      known.isUntold = true;
    } else this.#tell(name, known, condition);
    if (hasFailed || load !== "loaded") void this.lookAgain([name]);
  }

  /** Reads these units' states anew and tells what is new. */
  async lookAgain(names: readonly string[]): Promise<void> {
    const { log, onUnlinked } = this.#options;
    try {
      const before = new Map(names.map((name) => [name, this.#known.get(name)?.condition]));
      for (const [name, condition] of await this.read(names)) {
        const known = this.#known.get(name);
        const old = before.get(name);
        if (known === undefined || old === undefined) continue;
        if (known.isUntold || !sameCondition(old, condition)) this.#tell(name, known, condition);
        if (condition.load === "not-found") onUnlinked(name);
      }
    } catch (error) {
      // A lost connection: everything is read again once it is back.
      if (!(error instanceof UnitManagerError || error instanceof BusRefusal)) throw error;
      for (const name of names) {
        const known = this.#known.get(name);
        if (known?.isUntold === true) this.#tell(name, known, known.condition);
      }
      log.debug("Cannot read unit states", { reason: reasonOf(error) });
    }
  }

  #tell(name: string, known: Known, condition: UnitCondition): void {
    known.condition = condition;
    known.isUntold = false;
    this.#options.onChange(name, condition);
  }

  /** systemd's Result property; undefined: units of this type have none. */
  async #result(name: string): Promise<string | undefined> {
    const owner = resultInterface(name);
    if (owner === undefined) return undefined;
    try {
      return String(await this.#options.calls.property(unitPath(name), owner, "Result"));
    } catch (error) {
      ignoreUnknownUnit(error);
      return undefined;
    }
  }
}
