/**
 * What the machine that holds a unit says of it, as text: status, journal, properties, dependencies.
 *
 * Idea. The API finds the machine and passes its agent's bytes through, at the reader's pace. The first bytes are awaited
 * for a moment before the answer begins, so that a refusal still has a status of its own; a silent journal that is being
 * followed does not hold the headers back.
 *
 * Invariants.
 * - However the answer ends, the work on the other machine is told to end.
 *
 * @module
 */
import type { Clock, Timer } from "../../lib/clock.ts";
import { encodeText, shortened } from "../../lib/text.ts";
import { isJournalTime, type JournalLines } from "../../model/journal.ts";
import { shortMachineId } from "../../model/machine.ts";
import { isPropertyName, PROPERTIES_MAX } from "../../model/property-name.ts";
import { type Call, machineRef, refreshView } from "./call.ts";
import { ApiError } from "./errors.ts";
import { queryFlag, queryInteger } from "./http.ts";
import type { FleetApiPorts, MachineInspection } from "./ports.ts";

/** How long headers wait for the first bytes: a local agent answers within some 20 ms, a far one within some 100. */
const FIRST_BYTES_MS = 1_000;
const MAX_JOURNAL_LINES = 100_000;
const DEFAULT_JOURNAL_LINES = 10;
/** journalctl's modes are short words (journalctl(1), --output). */
const OUTPUT_PATTERN = /^[a-z][a-z-]{0,31}$/;

export async function unitStatus(call: Call): Promise<Response> {
  await refreshView(call);
  const machines = holders(call);
  return textResponse(call, machines, (machineId, signal) =>
    call.ports.machineCalls.unitStatus(machineId, call.name, signal),
  );
}

export async function unitJournal(call: Call): Promise<Response> {
  const { query } = call;
  const since = query.get("since") || undefined;
  if (since !== undefined && !isJournalTime(since)) {
    throw new ApiError(
      "bad-request",
      `Cannot show the journal of "${call.name}" since ${JSON.stringify(shortened(since))}: that is no time`,
    );
  }
  const lines = journalLines(query);
  const follow = queryFlag(call.query, "follow");
  const output = call.query.get("output") ?? "short";
  if (!OUTPUT_PATTERN.test(output)) {
    throw new ApiError("bad-request", `Cannot show the journal of "${call.name}": "${output}" is no output mode`);
  }
  await refreshView(call);
  const machines = holders(call);
  if (follow && machines.length > 1) {
    throw new ApiError(
      "bad-request",
      `Cannot follow "${call.name}": it is on ${machines.length} machines, choose one with machineID`,
    );
  }
  const request = { lines, ...(since !== undefined && { since }), follow, output };
  return textResponse(call, machines, (machineId, signal) =>
    call.ports.machineCalls.unitJournal(machineId, call.name, request, signal),
  );
}

function journalLines(query: URLSearchParams): JournalLines {
  if (query.get("lines") === "all") return "all";
  return queryInteger(query, "lines", DEFAULT_JOURNAL_LINES, MAX_JOURNAL_LINES);
}

export async function unitProperties(call: Call): Promise<Response> {
  const properties = call.query.getAll("property");
  if (properties.length > PROPERTIES_MAX || !properties.every(isPropertyName)) {
    const what = properties.find((property) => !isPropertyName(property)) ?? `a list of ${properties.length}`;
    throw new ApiError("bad-request", `Cannot show "${call.name}": ${JSON.stringify(what)} is no name of a property`);
  }
  await refreshView(call);
  const inspection = inspectionOf(call.ports);
  return textResponse(call, holders(call), (machineId, signal) =>
    inspection.unitProperties(machineId, call.name, properties, signal),
  );
}

const DIRECTIONS = ["requires", "reverse", "before", "after"] as const;

export async function unitDependencies(call: Call): Promise<Response> {
  const word = call.query.get("direction") ?? "requires";
  const direction = DIRECTIONS.find((candidate) => candidate === word);
  if (direction === undefined) {
    throw new ApiError(
      "bad-request",
      `Cannot list dependencies of "${call.name}": direction "${word}" is none of ${DIRECTIONS.join(", ")}`,
    );
  }
  const request = { direction, all: queryFlag(call.query, "all"), plain: queryFlag(call.query, "plain") };
  await refreshView(call);
  const inspection = inspectionOf(call.ports);
  return textResponse(call, holders(call), (machineId, signal) =>
    inspection.unitDependencies(machineId, call.name, request, signal),
  );
}

export function inspectionOf({ inspection }: FleetApiPorts): MachineInspection {
  if (inspection === undefined) throw new ApiError("not-implemented", "This daemon cannot look into machines");
  return inspection;
}

/** The machines to ask: the one that was named, else those that hold the unit. */
function holders(call: Call): string[] {
  const { view } = call.ports;
  const wanted = call.query.get("machineID") ?? "";
  const job = view.job(call.name);
  const reporting = [...view.reports(call.name)].map((report) => report.machineId);
  if (job === undefined && reporting.length === 0)
    throw new ApiError("not-found", `Unit "${call.name}" does not exist`);
  if (wanted !== "") return [machineNamed(call, wanted)];
  if (job !== undefined && job.machine !== null) return [job.machine];
  if (reporting.length > 0) return reporting;
  throw new ApiError("conflict", nowhere(call, job?.desiredState ?? "inactive"));
}

function nowhere(call: Call, desiredState: string): string {
  const reasons = call.ports.view.reasons(call.name).map(({ machineId, reason }) => {
    return machineId === "" ? reason : `${shortMachineId(machineId)}: ${reason}`;
  });
  const why = reasons.length === 0 ? "" : ` (${reasons.join("; ")})`;
  return `Unit "${call.name}" is on no machine: its desired state is ${desiredState}${why}`;
}

/** By its id or the beginning of it. */
export function machineNamed(call: Call, wanted: string): string {
  const matches = [...call.ports.view.machines()].filter((machine) => machine.id.startsWith(wanted));
  const [only] = matches;
  if (matches.length === 1 && only !== undefined) return only.id;
  if (matches.length === 0) throw new ApiError("not-found", `Machine "${wanted}" is not registered`);
  throw new ApiError("bad-request", `Machine "${wanted}" is ambiguous: ${matches.length} ids begin with it`);
}

async function textResponse(
  call: Call,
  machines: readonly string[],
  open: (machineId: string, signal: AbortSignal) => AsyncIterable<Uint8Array>,
): Promise<Response> {
  const abort = new AbortController();
  const stop = (): void => abort.abort();
  call.signal.addEventListener("abort", stop, { once: true });
  if (call.signal.aborted) stop();
  const source = withHeadings(call.ports, machines, (id) => open(id, abort.signal));
  const body = await startedBody(source, call.ports.clock, () => {
    call.signal.removeEventListener("abort", stop);
    stop();
  });
  return new Response(body, { headers: { "content-type": "text/plain; charset=utf-8" } });
}

/** Several machines follow one another, each below a line that names it. */
async function* withHeadings(
  ports: FleetApiPorts,
  machines: readonly string[],
  open: (machineId: string) => AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  for (const [index, id] of machines.entries()) {
    if (machines.length > 1) {
      const { primaryIP } = machineRef(ports, id);
      yield encodeText(`${index > 0 ? "\n" : ""}==> ${shortMachineId(id)}.../${primaryIP} <==\n`);
    }
    yield* open(id);
  }
}

async function startedBody(
  source: AsyncGenerator<Uint8Array>,
  clock: Clock,
  release: () => void,
): Promise<ReadableStream<Uint8Array>> {
  let first: Promise<IteratorResult<Uint8Array>> | null = source.next();
  // Its rejection is met here or in pull(); until then nobody may be listening.
  first.catch(() => {});
  let timer: Timer | null = null;
  try {
    const patience = new Promise<void>((resolve) => {
      timer = clock.after(FIRST_BYTES_MS, resolve);
    });
    await Promise.race([first, patience]);
  } catch (error) {
    release();
    throw error;
  } finally {
    (timer as Timer | null)?.cancel();
  }
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const step = await (first ?? source.next()).catch((error: unknown) => {
          release();
          throw error;
        });
        first = null;
        if (step.done !== true) {
          controller.enqueue(step.value);
          return;
        }
        release();
        controller.close();
      },
      async cancel() {
        // The abort ends whatever the source is waiting for; only then can it return.
        release();
        await source.return(undefined).catch(() => {});
      },
    },
    { highWaterMark: 0 },
  );
}
