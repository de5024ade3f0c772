/**
 * Whether a machine's kernel answers, asked from here and from other machines.
 *
 * Problem. Two hosts that have lost each other, while everybody else reaches both, say nothing about either being alive.
 * Idea. The daemon of a third machine puts the question where it is. The engine decides whom to ask and what the answers mean
 * (engine/deaths.ts); this file carries question and answer.
 *
 *   engine ─▶ MachineProbes ─▶ machine-probe.ts (a TCP connect)
 *                   └─ machine.probe {machine, timeoutMs} ─▶ another daemon ─▶ its machine-probe.ts
 *
 * Invariants.
 * - A question names a machine, never an address: a daemon connects nowhere but where the registry says that machines are.
 * - A witness that is gone, older, or knows no address says nothing: its word is "silent", and the asker's own decides.
 *
 * @module
 */
import type { MachineProbe, WitnessQuestion } from "../engine/index.ts";
import { type CallContext, CallError, type CallHandler, type Calls } from "../lib/calls.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { decodeText, encodeText } from "../lib/text.ts";
import { pause } from "../lib/wait.ts";
import { MACHINE_ID_PATTERN, type MachineId } from "../model/machine.ts";
import { RemoteRequestError } from "./machine-calls.ts";

export const PROBE_METHOD = "machine.probe";
/** Longer than any asker waits; whatever it says, a probe ends by then. */
const PROBE_MS_MAX = 5_000;

type Probe = MachineProbe["probe"];

export class MachineProbes implements MachineProbe {
  readonly probe: Probe;
  readonly #calls: Calls;
  readonly #log: Log;

  constructor({ probe, calls, log }: { readonly probe: Probe; readonly calls: Calls; readonly log: Log }) {
    this.probe = probe;
    this.#calls = calls;
    this.#log = log;
  }

  async probeFrom(question: WitnessQuestion, signal: AbortSignal): Promise<"alive" | "silent"> {
    const { witness, machineId, timeoutMs } = question;
    const body = encodeText(JSON.stringify({ machine: machineId, timeoutMs }));
    try {
      return decodeText(await this.#calls.call(witness, PROBE_METHOD, body, { signal })) === "alive"
        ? "alive"
        : "silent";
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      this.#log.debug("A witness did not say whether a machine answers", { witness, reason: error.message });
      return "silent";
    }
  }
}

export interface WitnessOptions {
  readonly probe: Probe;
  readonly clock: Clock;
  /** The machine's peer address, also when its lease is over; "" when it is not known. */
  readonly addressOf: (id: MachineId) => string;
}

/** What this daemon answers when an engine elsewhere asks it. */
export function witnessHandlers({ probe, clock, addressOf }: WitnessOptions): ReadonlyMap<string, CallHandler> {
  const handle = async (body: Uint8Array, context: CallContext): Promise<Uint8Array> => {
    const { machineId, timeoutMs } = readQuestion(body);
    const address = addressOf(machineId);
    if (address === "")
      throw new RemoteRequestError(`Asking machine ${machineId} failed: its address is not known here`);
    const end = new AbortController();
    const abort = () => end.abort();
    context.signal.addEventListener("abort", abort);
    if (context.signal.aborted) abort();
    void pause(clock, Math.min(timeoutMs, PROBE_MS_MAX), end.signal).then(abort);
    try {
      return encodeText(await probe(address, end.signal));
    } finally {
      context.signal.removeEventListener("abort", abort);
      abort();
    }
  };
  return new Map([[PROBE_METHOD, { kind: "unary", handle }]]);
}

function readQuestion(body: Uint8Array): { readonly machineId: MachineId; readonly timeoutMs: number } {
  const value: unknown = JSON.parse(decodeText(body));
  if (typeof value !== "object" || value === null) throw new RemoteRequestError("Reading a question failed: no object");
  const { machine, timeoutMs } = value as Record<string, unknown>;
  if (typeof machine !== "string" || !MACHINE_ID_PATTERN.test(machine)) {
    throw new RemoteRequestError("Reading a question failed: it names no machine");
  }
  if (typeof timeoutMs !== "number" || !(timeoutMs > 0)) {
    throw new RemoteRequestError("Reading a question failed: it gives no time to answer");
  }
  return { machineId: machine, timeoutMs };
}
