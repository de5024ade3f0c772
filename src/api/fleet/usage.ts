/**
 * GET /usage: what units and machines use, of all machines in one stream.
 *
 * Idea. Each machine is asked for a stream of its own; what comes is kept until the reader wants it, the latest of each machine only.
 * A machine that joins is asked, too; one that cannot be asked is a line that says why, and is tried again.
 *
 * Invariants.
 * - Nobody is asked for anything after the reader has left.
 * - Memory of a stream is bounded by its machines: a slow reader misses samples, not machines.
 *
 * Not here. The figures (model/usage.ts), reading them (agent/systemd/usage.ts).
 *
 * @module
 */
import type { Clock } from "../../lib/clock.ts";
import { textLines } from "../../lib/lines.ts";
import { reasonOf } from "../../lib/log.ts";
import { encodeText } from "../../lib/text.ts";
import { pause } from "../../lib/wait.ts";
import { unitSelector } from "../../model/unit-pattern.ts";
import {
  parseUsageSample,
  USAGE_INTERVAL_MAX_MS,
  USAGE_INTERVAL_MIN_MS,
  USAGE_UNITS_MAX,
  type UsageEvent,
  type UsageRequest,
} from "../../model/usage.ts";
import { type Call, machineRef, refreshView } from "./call.ts";
import { ApiError } from "./errors.ts";
import { queryFlag, queryInteger } from "./http.ts";
import type { FleetApiPorts, MachineInspection } from "./ports.ts";
import { inspectionOf, machineNamed } from "./streams.ts";

const DEFAULT_INTERVAL_MS = 2_000;
/** Until a machine that could not be asked is asked again. */
const RETRY_MS = 2_000;
/** A thousand units are some 100 kB: one machine's sample is held as a whole, for each reader. */
const LINE_MAX_LENGTH = 1_048_576;
const TOO_MANY_UNITS =
  "Cannot show the figures of all its units: they are more than 1 MiB. Ask for some, by name or pattern";

export async function getUsage(call: Call): Promise<Response> {
  const request = readRequest(call);
  const inspection = inspectionOf(call.ports);
  await refreshView(call);
  const named = call.query.getAll("machineID").map((id) => machineNamed(call, id));
  const stream = new UsageStream(call.ports, inspection, request, named.length === 0 ? null : new Set(named));
  const end = (): void => stream.end();
  call.signal.addEventListener("abort", end, { once: true });
  if (call.signal.aborted) end();
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const events = await stream.next();
        if (events === null) controller.close();
        else controller.enqueue(encodeText(events.map((event) => `${JSON.stringify(event)}\n`).join("")));
      },
      cancel() {
        call.signal.removeEventListener("abort", end);
        stream.end();
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { headers: { "content-type": "application/x-ndjson", "cache-control": "no-store" } });
}

function readRequest({ query }: Call): UsageRequest {
  const units = query.getAll("unitName");
  if (units.length > USAGE_UNITS_MAX) {
    throw new ApiError("bad-request", `Cannot watch ${units.length} units by name: at most ${USAGE_UNITS_MAX}, or all`);
  }
  for (const unit of units) unitSelector(unit);
  const intervalMs = queryInteger(query, "intervalMs", DEFAULT_INTERVAL_MS, USAGE_INTERVAL_MAX_MS);
  if (intervalMs < USAGE_INTERVAL_MIN_MS) {
    throw new ApiError("bad-request", `Cannot take a sample each ${intervalMs} ms: at least ${USAGE_INTERVAL_MIN_MS}`);
  }
  return { units: units.length === 0 ? null : units, intervalMs: queryFlag(query, "follow") ? intervalMs : null };
}

class UsageStream {
  readonly #ports: FleetApiPorts;
  readonly #inspection: MachineInspection;
  readonly #request: UsageRequest;
  /** null: all machines, those that join, too. */
  readonly #machines: ReadonlySet<string> | null;
  readonly #abort = new AbortController();
  readonly #asked = new Set<string>();
  /** What the reader has not taken yet, by machine. */
  readonly #latest = new Map<string, UsageEvent>();
  readonly #unsubscribe: () => void;
  #wake: (() => void) | null = null;

  constructor(
    ports: FleetApiPorts,
    inspection: MachineInspection,
    request: UsageRequest,
    machines: ReadonlySet<string> | null,
  ) {
    this.#ports = ports;
    this.#inspection = inspection;
    this.#request = request;
    this.#machines = machines;
    const isFollowing = request.intervalMs !== null;
    this.#unsubscribe = ports.view.subscribe((changes) => {
      if (isFollowing && changes.some(({ kind }) => kind === "machine" || kind === "reset")) this.#askAll();
    });
    this.#askAll();
  }

  /** The next lines, as soon as there are some; null: there will be no more. */
  async next(): Promise<readonly UsageEvent[] | null> {
    for (;;) {
      if (this.#abort.signal.aborted) return null;
      if (this.#latest.size > 0) {
        const events = [...this.#latest.values()];
        this.#latest.clear();
        return events;
      }
      if (this.#asked.size === 0 && this.#request.intervalMs === null) {
        this.end();
        return null;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  end(): void {
    this.#abort.abort();
    this.#unsubscribe();
    this.#latest.clear();
    this.#wake?.();
  }

  #askAll(): void {
    for (const { id } of this.#ports.view.machines()) {
      if (this.#asked.has(id) || this.#machines?.has(id) === false) continue;
      this.#asked.add(id);
      void this.#ask(id);
    }
  }

  /** Goes on until the stream ends, or the machine has left. Never rejects: what goes wrong is the machine's line. */
  async #ask(id: string): Promise<void> {
    const { signal } = this.#abort;
    const clock: Clock = this.#ports.clock;
    while (!signal.aborted && this.#ports.view.machine(id) !== undefined) {
      try {
        await this.#read(id, signal);
      } catch (error) {
        if (!signal.aborted) this.#put({ machine: machineRef(this.#ports, id), problem: reasonOf(error) });
      }
      if (this.#request.intervalMs === null) break;
      await pause(clock, RETRY_MS, signal);
    }
    this.#asked.delete(id);
    this.#wake?.();
  }

  async #read(id: string, signal: AbortSignal): Promise<void> {
    const chunks = this.#inspection.usage(id, this.#request, signal);
    const tooLong = (): Error => new ApiError("conflict", TOO_MANY_UNITS);
    for await (const line of textLines(chunks, LINE_MAX_LENGTH, tooLong)) {
      if (signal.aborted) return;
      this.#put({ machine: machineRef(this.#ports, id), ...parseUsageSample(line) });
    }
  }

  #put(event: UsageEvent): void {
    this.#latest.set(event.machine.id, event);
    this.#wake?.();
  }
}
