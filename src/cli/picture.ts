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
  /** How often the unit itself was spoken of: tells "not yet there" from "gone again". */
  readonly mentions: number;
}

export class Picture {
  readonly #units = new Map<string, UnitPicture>();

  get(name: string): UnitPicture {
    return this.#units.get(name) ?? { name, unit: null, states: new Map(), reasons: [], mentions: 0 };
  }

  /** Everything is about to be told again. */
  forget(): void {
    for (const [name, { mentions }] of this.#units) {
      this.#units.set(name, { name, unit: null, states: new Map(), reasons: [], mentions });
    }
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
    return this.#set({ ...before, unit, mentions: before.mentions + 1 });
  }

  #set(picture: UnitPicture): string {
    this.#units.set(picture.name, picture);
    return picture.name;
  }
}
