/**
 * The event stream that clients wait on: a picture of what they asked for, then each change to it.
 *
 * Problem. A client that waits must not poll, and a client that reads slowly must not make the daemon remember for it.
 * Idea. The stream remembers only *which* things changed, not how; when the reader pulls, it is told how they are now.
 * A thing that changes ten times meanwhile is one line. The picture at the start is the same work with everything marked.
 *
 * Invariants.
 * - Memory of a stream is bounded by the number of things it watches.
 * - Nothing is computed for a reader that does not pull.
 * - Leaving ends the subscription and the timer.
 *
 * Not here. The lines themselves (model/events.ts).
 *
 * @module
 */
import type { Clock, Timer } from "../../lib/clock.ts";
import { encodeText } from "../../lib/text.ts";
import { EVENT_KEEP_ALIVE_MS, type FleetEvent } from "../../model/events.ts";
import type { ClusterView, Revision, ViewChange } from "../../registry/types.ts";
import { machineRef } from "./call.ts";
import { isGlobalUnit } from "./entities.ts";
import type { FleetApiPorts } from "./ports.ts";

/** Most lines handed over at a time: about 50 kB. */
const LINES_PER_CHUNK = 200;

type Subject =
  | { readonly kind: "unit"; readonly name: string }
  | { readonly kind: "report"; readonly name: string; readonly machineId: string }
  | { readonly kind: "reasons"; readonly name: string }
  | { readonly kind: "machine"; readonly id: string };

function subjectKey(subject: Subject): string {
  switch (subject.kind) {
    case "machine":
      return `machine ${subject.id}`;
    case "report":
      return `report ${subject.machineId} ${subject.name}`;
    default:
      return `${subject.kind} ${subject.name}`;
  }
}

export class EventStream {
  readonly #ports: FleetApiPorts;
  readonly #view: ClusterView;
  readonly #clock: Clock;
  /** null: everything. */
  readonly #names: ReadonlySet<string> | null;
  /** What the picture still lacks, in order; null once `synced` was sent. */
  #backlog: Subject[] | null = null;
  /** The view's, when the picture was begun: whatever it lacks was not there at some moment since. */
  #pictureRevision: Revision = 0;
  readonly #changed = new Map<string, Subject>();
  #resetPending = false;
  #ended = false;
  #unsubscribe: () => void;
  #wake: (() => void) | null = null;
  #timer: Timer | null = null;

  constructor(ports: FleetApiPorts, names: ReadonlySet<string> | null) {
    this.#ports = ports;
    this.#view = ports.view;
    this.#clock = ports.clock;
    this.#names = names;
    this.#unsubscribe = ports.view.subscribe((changes) => this.#note(changes));
    this.#backlog = this.#everything();
  }

  /** The next lines; null when the stream has ended. Waits for a change, at most until a keep-alive is due. */
  async next(): Promise<readonly FleetEvent[] | null> {
    if (this.#ended) return null;
    let events = this.#take();
    if (events.length === 0) {
      await this.#untilChanged();
      if (this.#ended) return null;
      events = this.#take();
    }
    return events.length > 0 ? events : [{ type: "keep-alive" }];
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#unsubscribe();
    this.#backlog = null;
    this.#changed.clear();
    this.#timer?.cancel();
    this.#wake?.();
  }

  #untilChanged(): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#timer?.cancel();
        this.#timer = null;
        this.#wake = null;
        resolve();
      };
      this.#wake = wake;
      this.#timer = this.#clock.after(EVENT_KEEP_ALIVE_MS, wake);
    });
  }

  #note(changes: readonly ViewChange[]): void {
    for (const change of changes) {
      if (change.kind === "reset") {
        this.#resetPending = true;
        this.#changed.clear();
        this.#backlog = this.#everything();
        break;
      }
      const subject = this.#subjectOf(change);
      if (subject !== null) this.#changed.set(subjectKey(subject), subject);
    }
    if (this.#resetPending || this.#changed.size > 0) this.#wake?.();
  }

  #subjectOf(change: Exclude<ViewChange, { kind: "reset" }>): Subject | null {
    switch (change.kind) {
      case "job":
        return this.#wants(change.name) ? { kind: "unit", name: change.name } : null;
      case "report":
        return this.#wants(change.name) ? { kind: "report", name: change.name, machineId: change.machineId } : null;
      case "reason":
        return this.#wants(change.name) ? { kind: "reasons", name: change.name } : null;
      case "machine":
      case "metadata":
        return this.#names === null ? { kind: "machine", id: change.id } : null;
      case "schedule":
      case "left":
        return null;
    }
  }

  #wants(name: string): boolean {
    return this.#names === null || this.#names.has(name);
  }

  /** Only names and ids are collected: the view may change before their turn comes. */
  #everything(): Subject[] {
    this.#pictureRevision = this.#view.revision;
    const subjects: Subject[] = [];
    if (this.#names === null) {
      for (const machine of this.#view.machines()) subjects.push({ kind: "machine", id: machine.id });
      for (const job of this.#view.jobs()) this.#pushUnit(subjects, job.name);
      for (const report of this.#view.reports()) {
        subjects.push({ kind: "report", name: report.name, machineId: report.machineId });
      }
      return subjects;
    }
    for (const name of this.#names) {
      this.#pushUnit(subjects, name);
      for (const report of this.#view.reports(name)) {
        subjects.push({ kind: "report", name, machineId: report.machineId });
      }
    }
    return subjects;
  }

  #pushUnit(subjects: Subject[], name: string): void {
    subjects.push({ kind: "unit", name });
    if (this.#view.reasons(name).length > 0) subjects.push({ kind: "reasons", name });
  }

  #take(): FleetEvent[] {
    const events: FleetEvent[] = [];
    if (this.#resetPending) {
      this.#resetPending = false;
      events.push({ type: "reset" });
    }
    if (this.#backlog !== null) {
      for (const subject of this.#backlog.splice(0, LINES_PER_CHUNK)) events.push(this.#describe(subject));
      if (this.#backlog.length > 0) return events;
      this.#backlog = null;
      events.push({ type: "synced", revision: this.#pictureRevision });
    }
    for (const [key, subject] of this.#changed) {
      if (events.length >= LINES_PER_CHUNK) break;
      this.#changed.delete(key);
      events.push(this.#describe(subject));
    }
    return events;
  }

  #describe(subject: Subject): FleetEvent {
    switch (subject.kind) {
      case "unit":
        return this.#describeUnit(subject.name);
      case "report": {
        const report = this.#view.report(subject.machineId, subject.name);
        return report === undefined
          ? { type: "state-gone", name: subject.name, machineID: subject.machineId }
          : { type: "state", machine: machineRef(this.#ports, subject.machineId), report };
      }
      case "reasons": {
        const reasons = this.#view.reasons(subject.name).map(({ machineId, reason }) => ({
          ...(machineId === "" ? {} : { machine: machineRef(this.#ports, machineId) }),
          reason,
        }));
        return { type: "reasons", name: subject.name, reasons };
      }
      case "machine": {
        const machine = this.#view.machine(subject.id);
        return machine === undefined
          ? { type: "machine-gone", id: subject.id }
          : { type: "machine", id: machine.id, primaryIP: machine.publicIp, metadata: machine.metadata };
      }
    }
  }

  #describeUnit(name: string): FleetEvent {
    const job = this.#view.job(name);
    if (job === undefined) return { type: "unit-gone", name };
    return {
      type: "unit",
      name,
      hash: job.hash,
      desiredState: job.desiredState,
      global: isGlobalUnit(this.#view, job),
      revision: job.modRevision,
      ...(job.machine === null ? {} : { machine: machineRef(this.#ports, job.machine) }),
    };
  }
}

/** The stream as a body: one JSON object a line, produced only as fast as it is read. */
export function eventBody(
  ports: FleetApiPorts,
  names: ReadonlySet<string> | null,
  signal: AbortSignal,
): ReadableStream<Uint8Array> {
  const stream = new EventStream(ports, names);
  const end = (): void => stream.end();
  signal.addEventListener("abort", end, { once: true });
  if (signal.aborted) end();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const events = await stream.next();
        if (events === null) {
          controller.close();
          return;
        }
        controller.enqueue(encodeText(events.map((event) => `${JSON.stringify(event)}\n`).join("")));
      },
      cancel() {
        signal.removeEventListener("abort", end);
        stream.end();
      },
    },
    { highWaterMark: 0 },
  );
}
