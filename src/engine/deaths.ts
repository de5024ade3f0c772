/**
 * Death watch: which of the machines whose lease is over are really dead.
 *
 * Problem. A daemon that crashed, is being upgraded or is starved leaves its units running; to start them elsewhere would
 * run them twice. A host without power must lose them within seconds.
 * Idea. Ask the host's kernel. Silent twice: dead. It answers: the host lives, so its daemon has `daemonGraceMs` to come back;
 * the kernel is asked again meanwhile, for the host may die yet. A machine of which nothing is known, and the
 * engine's own, cannot be asked: they get the grace, too. One that said at its registration that it has no peer port (on an
 * etcd it need not have one) has chosen fleet's way: its lease alone speaks for it. It gets a moment, though: an etcd that hung
 * for a while ends every lease at once when it goes on, and the daemons are back before anybody could tell. When half of the
 * machines or more are missing, it was rather the etcd, or the way to it, that was away: they get a longer moment.
 * Two hosts that do not reach each other say nothing about either. So the last question is put from other machines, too, at the
 * same time: one answer that any of them hears counts.
 * Invariants.
 * - A machine is given up once, and never after it is registered again.
 * - Witnesses lengthen the way to a verdict by WITNESS_MARGIN_MS at most; one that cannot be asked says nothing.
 *
 * Not here. What happens to its units (plan.ts).
 *
 * @module
 */
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { pause } from "../lib/wait.ts";
import type { Decision } from "../model/decisions.ts";
import { type MachineId, shortMachineId } from "../model/machine.ts";
import type { MachineProbe } from "./ports.ts";

/** One lost packet must not look like death: as many silences in a row are needed. */
const SILENCES = 2;
/** Between the first silence and the next question. */
const SILENCE_PAUSE_MS = 100;
/** A daemon that lives hears within a heartbeat, of at most a second, that its lease is over, and registers at once. */
const RETURN_MS = 1_500;
/** The same when many are missing: the way to the store may have been cut, and is found again by one after the other, within
 *  the pauses between their tries (a second or two) and TCP's own (1 s, 3 s). */
const MASS_RETURN_MS = 10_000;
/** A witness asks as long as we do ourselves; so much longer its word may be under way. */
const WITNESS_MARGIN_MS = 150;
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
  /** How many machines are registered. */
  readonly registered: () => number;
  /** Peer address; "": the machine has none to be asked at; undefined: nothing is known of it. */
  readonly addressOf: (id: MachineId) => string | undefined;
  /** Peer addresses of a few machines whose daemons can put the question from where they are. */
  readonly witnessesFor: (id: MachineId) => readonly string[];
  readonly onDead: (id: MachineId) => void;
}

export class DeathWatch {
  readonly #options: DeathWatchOptions;
  readonly #watched = new Map<MachineId, AbortController>();
  #isMass = false;
  /** Until then no machine is given up for its lease alone. */
  #leniencyEndsMs = 0;

  constructor(options: DeathWatchOptions) {
    this.#options = options;
  }

  /** Begins to ask for machines that are missing now, and forgets those that are not any more. */
  update(missing: ReadonlySet<MachineId>): void {
    this.#weigh(missing.size);
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

  /** Notices when half of the machines or more come to be missing. */
  #weigh(missing: number): void {
    const wasMass = this.#isMass;
    this.#isMass = missing > 0 && missing >= this.#options.registered();
    if (this.#isMass && !wasMass) this.#leniencyEndsMs = this.#options.clock.now() + MASS_RETURN_MS;
  }

  async #watchOver(id: MachineId, signal: AbortSignal): Promise<void> {
    const verdict = await this.#untilDead(id, signal);
    if (signal.aborted) return;
    this.#watched.delete(id);
    this.#options.log.warning(`Gave up machine ${shortMachineId(id)}: ${verdict}`, {
      decision: "machine-lost" satisfies Decision,
      machine: id,
    });
    this.#options.onDead(id);
  }

  /** Resolves with the reason once the machine is dead; also when the signal is aborted, and then it means nothing. */
  async #untilDead(id: MachineId, signal: AbortSignal): Promise<string> {
    const { clock, config, selfId } = this.#options;
    const address = id === selfId ? undefined : this.#options.addressOf(id);
    if (address === "") {
      await pause(clock, RETURN_MS, signal);
      if (clock.now() < this.#leniencyEndsMs) await pause(clock, this.#leniencyEndsMs - clock.now(), signal);
      return "its lease is over, and it has no peer port at which its host could be asked";
    }
    const deadline = clock.now() + config.daemonGraceMs;
    let silences = 0;
    let isAnnounced = false;
    while (!signal.aborted && clock.now() < deadline) {
      const heard =
        address === undefined ? "cannot be asked whether it lives" : await this.#ask(id, address, silences, signal);
      if (signal.aborted) break;
      if (heard === null) {
        silences += 1;
        if (silences >= SILENCES) return `its lease is over and ${address} did not answer ${silences} times`;
        await pause(clock, SILENCE_PAUSE_MS, signal);
        continue;
      }
      silences = 0;
      if (!isAnnounced) this.#announce(id, heard);
      isAnnounced = true;
      await pause(clock, Math.max(0, Math.min(config.probeIntervalMs, deadline - clock.now())), signal);
    }
    return `its daemon did not come back within ${config.daemonGraceMs} ms`;
  }

  #announce(id: MachineId, heard: string): void {
    const { log, config } = this.#options;
    log.notice(
      `Machine ${shortMachineId(id)} is not registered any more, but ${heard}: its units stay for ${config.daemonGraceMs} ms`,
      { machine: id },
    );
  }

  /** What was heard of the host; null: nothing, from anywhere that was asked. */
  async #ask(id: MachineId, address: string, silences: number, signal: AbortSignal): Promise<string | null> {
    const { probe, config } = this.#options;
    const here = this.#within(config.probeTimeoutMs, signal, (end) => probe.probe(address, end)).then((answer) =>
      answer === "alive" ? `its kernel answers at ${address}` : null,
    );
    if (silences + 1 < SILENCES) return await here;
    const there = this.#options.witnessesFor(id).map(async (witness) => {
      const question = { witness, machineId: id, timeoutMs: config.probeTimeoutMs };
      const answer = await this.#within(config.probeTimeoutMs + WITNESS_MARGIN_MS, signal, (end) =>
        probe.probeFrom(question, end),
      );
      return answer === "alive" ? `its kernel answers ${witness} at ${address}` : null;
    });
    return await firstHeard([here, ...there]);
  }

  async #within(
    timeoutMs: number,
    signal: AbortSignal,
    question: (end: AbortSignal) => Promise<"alive" | "silent">,
  ): Promise<"alive" | "silent"> {
    const { clock } = this.#options;
    const controller = new AbortController();
    const abort = () => controller.abort();
    signal.addEventListener("abort", abort);
    const timeUp = pause(clock, timeoutMs, controller.signal)
      .then(() => pause(clock, HEARING_MS, controller.signal))
      .then((): "silent" => "silent");
    try {
      return await Promise.race([question(controller.signal), timeUp]);
    } finally {
      signal.removeEventListener("abort", abort);
      controller.abort();
    }
  }
}

/** The first of these that is not null; null when all of them are. */
function firstHeard(answers: readonly Promise<string | null>[]): Promise<string | null> {
  return new Promise((resolve, reject) => {
    let open = answers.length;
    const take = (answer: string | null) => {
      open -= 1;
      if (answer !== null || open === 0) resolve(answer);
    };
    for (const answer of answers) answer.then(take, reject);
  });
}
