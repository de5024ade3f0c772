/**
 * What the command line knows of the units it watches: the latest of each line of the event stream.
 *
 * @module
 */
import type { FleetEvent, ReasonEvent, StateEvent, UnitEvent } from "../model/events.ts";

export interface UnitPicture {
  readonly name: string;
  /** null: the cluster does not have it. */
  readonly unit: UnitEvent | null;
  /** By machine id. */
  readonly states: ReadonlyMap<string, StateEvent>;
  readonly reasons: ReasonEvent["reasons"];
  /**
   * How often news of the unit itself came: tells "not yet there" from "gone again". That it is missing from a picture that is told
   * anew is no news: the daemon may have drawn it before the change that is waited for (wholeAt says whether it did).
   */
  readonly mentions: number;
  /** The whole picture knows of all that was done up to this revision; null while it is told anew: what is missing may be yet to come. */
  readonly wholeAt: number | null;
}

type Kept = Omit<UnitPicture, "wholeAt">;

export class Picture {
  readonly #units = new Map<string, Kept>();
  #isToldAnew = false;
  #wholeAt: number | null = null;

  get(name: string): UnitPicture {
    const kept = this.#units.get(name) ?? { name, unit: null, states: new Map(), reasons: [], mentions: 0 };
    return { ...kept, wholeAt: this.#wholeAt };
  }

  /** Everything is about to be told again. */
  forget(): void {
    this.#isToldAnew = true;
    this.#wholeAt = null;
    for (const [name, { mentions }] of this.#units) {
      this.#units.set(name, { name, unit: null, states: new Map(), reasons: [], mentions });
    }
  }

  /** Everything was told: what comes now has happened since. */
  complete(revision: number): void {
    this.#isToldAnew = false;
    this.#wholeAt = revision;
  }

  /** The name of the unit that the event changed; null when it was about something else. */
  apply(event: FleetEvent): string | null {
    switch (event.type) {
      case "unit":
        return this.#mention(event.name, event);
      case "unit-gone":
        return this.#mention(event.name, null);
      case "state": {
        const { name } = event.report;
        const before = this.get(name);
        const states = new Map(before.states).set(event.machine.id, event);
        return this.#set({ ...before, states });
      }
      case "state-gone": {
        const before = this.get(event.name);
        const states = new Map(before.states);
        states.delete(event.machineID);
        return this.#set({ ...before, states });
      }
      case "reasons":
        return this.#set({ ...this.get(event.name), reasons: event.reasons });
      default:
        return null;
    }
  }

  #mention(name: string, unit: UnitEvent | null): string {
    const before = this.get(name);
    const isNews = unit !== null || !this.#isToldAnew;
    return this.#set({ ...before, unit, mentions: before.mentions + (isNews ? 1 : 0) });
  }

  #set({ name, unit, states, reasons, mentions }: Kept): string {
    this.#units.set(name, { name, unit, states, reasons, mentions });
    return name;
  }
}
