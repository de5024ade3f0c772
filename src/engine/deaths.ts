/**
 * Death watch: which of the machines whose lease is over are really dead.
 *
 * Problem. A daemon that crashed, is being upgraded or is starved leaves its units running; to start them elsewhere would
 * run them twice. A host without power must lose them within seconds.
 * Idea. Ask the host's kernel. Silent twice: dead. It answers: the host lives, so its daemon has `daemonGraceMs` to come back;
 * the kernel is asked again meanwhile, for the host may die yet. A machine of which no address is known, and the
 * engine's own, cannot be asked: they get the grace, too.
 * Invariants.
 * - A machine is given up once, and never after it is registered again.
 *
 * Not here. What happens to its units (plan.ts).
 *
 * @module
 */
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { pause } from "../lib/wait.ts";
import { type MachineId, shortMachineId } from "../model/machine.ts";
import type { MachineProbe } from "./ports.ts";

/** One lost packet must not look like death: as many silences in a row are needed. */
const SILENCES = 2;
/** Between the first silence and the next question. */
const SILENCE_PAUSE_MS = 100;
/** After a stall of this process the time-out is due together with the answer that waits in its socket: hear that one first. */
const HEARING_MS = 10;

export interface DeathWatchConfig {
  /** How long a host that lives may be without its daemon before its units are placed elsewhere. */
  readonly daemonGraceMs: number;
  /** Between two questions to a kernel that answers. */
  readonly probeIntervalMs: number;
  /** A kernel that has not answered by then is silent. Retransmission of a lost SYN takes 1 s: the next question is faster. */
  readonly probeTimeoutMs: number;
}

export interface DeathWatchOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly probe: MachineProbe;
  readonly config: DeathWatchConfig;
  /** The machine that this engine runs on. */
  readonly selfId: MachineId;
  readonly addressOf: (id: MachineId) => string;
  readonly onDead: (id: MachineId) => void;
}

export class DeathWatch {
  readonly #options: DeathWatchOptions;
  readonly #watched = new Map<MachineId, AbortController>();

  constructor(options: DeathWatchOptions) {
    this.#options = options;
  }

  /** Begins to ask for machines that are missing now, and forgets those that are not any more. */
  update(missing: ReadonlySet<MachineId>): void {
    for (const [id, controller] of this.#watched) {
      if (missing.has(id)) continue;
      controller.abort();
      this.#watched.delete(id);
    }
    for (const id of missing) {
      if (this.#watched.has(id)) continue;
      const controller = new AbortController();
      this.#watched.set(id, controller);
      void this.#watchOver(id, controller.signal);
    }
  }

  stop(): void {
    this.update(new Set());
  }

  async #watchOver(id: MachineId, signal: AbortSignal): Promise<void> {
    const verdict = await this.#untilDead(id, signal);
    if (signal.aborted) return;
    this.#watched.delete(id);
    this.#options.log.warning(`Gave up machine ${shortMachineId(id)}: ${verdict}`, { machine: id });
    this.#options.onDead(id);
  }

  /** Resolves with the reason once the machine is dead; also when the signal is aborted, and then it means nothing. */
  async #untilDead(id: MachineId, signal: AbortSignal): Promise<string> {
    const { clock, log, config, selfId } = this.#options;
    const address = id === selfId ? "" : this.#options.addressOf(id);
    const deadline = clock.now() + config.daemonGraceMs;
    let silences = 0;
    let isAnnounced = false;
    while (!signal.aborted && clock.now() < deadline) {
      const answer = address === "" ? "alive" : await this.#ask(address, signal);
      if (signal.aborted) break;
      if (answer === "silent") {
        silences += 1;
        if (silences >= SILENCES) return `its lease is over and ${address} did not answer ${silences} times`;
        await pause(clock, SILENCE_PAUSE_MS, signal);
        continue;
      }
      silences = 0;
      if (!isAnnounced) {
        isAnnounced = true;
        const found = address === "" ? "cannot be asked whether it lives" : `its kernel answers at ${address}`;
        log.notice(
          `Machine ${shortMachineId(id)} is not registered any more, but ${found}: its units stay for ${config.daemonGraceMs} ms`,
          { machine: id },
        );
      }
      await pause(clock, Math.max(0, Math.min(config.probeIntervalMs, deadline - clock.now())), signal);
    }
    return `its daemon did not come back within ${config.daemonGraceMs} ms`;
  }

  async #ask(address: string, signal: AbortSignal): Promise<"alive" | "silent"> {
    const { clock, config, probe } = this.#options;
    const controller = new AbortController();
    const abort = () => controller.abort();
    signal.addEventListener("abort", abort);
    const timeUp = pause(clock, config.probeTimeoutMs, controller.signal)
      .then(() => pause(clock, HEARING_MS, controller.signal))
      .then((): "silent" => "silent");
    try {
      return await Promise.race([probe.probe(address, controller.signal), timeUp]);
    } finally {
      signal.removeEventListener("abort", abort);
      controller.abort();
    }
  }
}
