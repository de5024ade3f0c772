/**
 * What is news in a stream that says what is: pure, an event in, the events worth showing out.
 *
 * Problem. After a lost connection everything is told again, and a reader of the log wants only what has changed meanwhile, things that
 * are gone among it.
 * Idea. The latest line about each thing is kept. A line that says the same again is no news; what a whole new picture does not
 * mention is gone.
 *
 * @module
 */
import type { FleetEvent } from "../model/events.ts";

export class EventLog {
  readonly #known = new Map<string, { readonly text: string; readonly event: FleetEvent }>();
  /** What the picture that is being told has mentioned; null between pictures. */
  #told: Set<string> | null = new Set();

  take(event: FleetEvent): readonly FleetEvent[] {
    switch (event.type) {
      case "keep-alive":
        return [];
      case "reset":
        this.#told = new Set();
        return [];
      case "synced": {
        const gone = this.#unmentioned();
        this.#told = null;
        return gone;
      }
      default:
        return this.#about(event);
    }
  }

  #about(event: FleetEvent): readonly FleetEvent[] {
    const key = keyOf(event);
    const before = this.#known.get(key);
    if (isEnd(event)) {
      this.#known.delete(key);
      // Whatever was in its way is over with the unit, which goes without saying.
      if (event.type === "unit-gone") this.#known.delete(`reasons ${event.name}`);
      return before === undefined ? [] : [event];
    }
    this.#told?.add(key);
    const text = JSON.stringify(event);
    if (before?.text === text) return [];
    this.#known.set(key, { text, event });
    return [event];
  }

  #unmentioned(): readonly FleetEvent[] {
    const gone: FleetEvent[] = [];
    for (const [key, { event }] of this.#known) {
      if (this.#told === null || this.#told.has(key)) continue;
      this.#known.delete(key);
      const isOverWithUnit = event.type === "reasons" && !this.#told.has(`unit ${event.name}`);
      const end = isOverWithUnit ? null : endOf(event);
      if (end !== null) gone.push(end);
    }
    return gone;
  }
}

function keyOf(event: FleetEvent): string {
  switch (event.type) {
    case "unit":
    case "unit-gone":
      return `unit ${event.name}`;
    case "state":
      return `state ${event.machine.id} ${event.report.name}`;
    case "state-gone":
      return `state ${event.machineID} ${event.name}`;
    case "reasons":
      return `reasons ${event.name}`;
    case "machine":
    case "machine-gone":
      return `machine ${event.id}`;
    default:
      return event.type;
  }
}

function isEnd(event: FleetEvent): boolean {
  return event.type.endsWith("-gone") || (event.type === "reasons" && event.reasons.length === 0);
}

/** How the stream itself would have said that this is over. */
function endOf(event: FleetEvent): FleetEvent | null {
  switch (event.type) {
    case "unit":
      return { type: "unit-gone", name: event.name };
    case "state":
      return { type: "state-gone", name: event.report.name, machineID: event.machine.id };
    case "reasons":
      return { type: "reasons", name: event.name, reasons: [] };
    case "machine":
      return { type: "machine-gone", id: event.id };
    default:
      return null;
  }
}
