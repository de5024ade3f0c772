/**
 * The composition root: constructs the daemon's parts, starts them in order, stops them the other way round.
 *
 *   data directory → systemd → store (its own or an etcd) → view → API → agent; engine while this daemon holds that office
 *
 * Idea. Parts know ports; this file knows parts. Nothing is decided here but the order and who is handed to whom.
 *
 * Invariants.
 * - start() either gets everything going or throws one StartError (or a part's own error) after closing what it opened.
 * - stop() touches no unit unless it was told to hand over.
 * - The API listens before the store answers: until then it answers 503 with the reason. Whoever asks at the start is kept waiting
 *   for a moment, until this machine is in its own list; systemd's READY waits as long, and no longer.
 *
 * @module
 */
import { RAFT_DEFAULTS } from "#raft";
import { Agent } from "../agent/index.ts";
import type { SystemdScope } from "../agent/systemd/index.ts";
import { createFleetApi } from "../api/fleet/index.ts";
import type { FltConfig } from "../config/table.ts";
import { DEFAULT_ENGINE_CONFIG, Engine, EngineMetrics } from "../engine/index.ts";
import { FORMAT_LEVEL } from "../lib/format.ts";
import { type Log, reasonOf } from "../lib/log.ts";
import type { Gauge } from "../lib/metrics.ts";
import { VERSION } from "../lib/version.ts";
import { pause } from "../lib/wait.ts";
import type { MachineId } from "../model/machine.ts";
import { systemClock } from "../platform/clock.ts";
import { defaultAddress } from "../platform/host-facts.ts";
import type { InheritedSocket } from "../platform/inherited-sockets.ts";
import { LoopLag } from "../platform/loop-lag.ts";
import { probeHost } from "../platform/machine-probe.ts";
import { PrometheusMetrics } from "../platform/metrics.ts";
import {
  type EngineTerm,
  Keys,
  KvAgentRegistry,
  type MachineRegistration,
  MeasuredKv,
  RegistryGuard,
  RegistryMachines,
  RegistryUnits,
  RegistryView,
} from "../registry/index.ts";
import { ApiListeners } from "./api-listeners.ts";
import { systemInspector } from "./inspector.ts";
import { currentLeader } from "./leader.ts";
import { Leadership, type Leading } from "./leadership.ts";
import { DaemonMachineCalls, machineHandlers } from "./machine-calls.ts";
import { leaderStartTime, measureDaemon } from "./metrics.ts";
import { openParts, type Parts } from "./parts.ts";
import { findPlace, type Place } from "./place.ts";
import { DataDirMemory } from "./registry-memory.ts";
import { StartError } from "./start-error.ts";
import { MachineProbes, witnessHandlers } from "./witness.ts";

/** How long units may take to stop when they are handed over: with leaving and closing it fits examples/flt.service's TimeoutStopSec (45 s). */
const HAND_OVER_MS = 30_000;

/** Half of raft's election timeout, on an etcd too: what the other members would take for the end of a leader, twice as long. */
const LAG_WARNING_MS = RAFT_DEFAULTS.electionTimeoutMs / 2;

/** Requests at the start, and READY, wait as long for the cluster; below the client's own time-out (3 s), so that it hears why it is refused. */
const START_PATIENCE_MS = 2000;

export interface DaemonOptions {
  readonly config: FltConfig;
  readonly machineId: MachineId;
  /** Whose systemd runs the units. */
  readonly scope: SystemdScope;
  /** Sockets for the API that systemd handed over. */
  readonly inherited: readonly InheritedSocket[];
  readonly log: Log;
  /** The daemon cannot go on: end the process with an error; units stay as they are. */
  readonly onFatal: (error: Error) => void;
}

/** Fails early when this daemon cannot run here; see the class for what it does. */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const daemon = new Daemon(options, await openParts(options));
  try {
    await daemon.start();
    return daemon;
  } catch (error) {
    await daemon.stop({ handOver: false });
    throw error;
  }
}

export class Daemon {
  readonly #options: DaemonOptions;
  #config: FltConfig;
  #place: Place;
  readonly #parts: Parts;
  readonly #metrics: PrometheusMetrics;
  readonly #engineMetrics: EngineMetrics;
  readonly #leadsSince: Gauge;
  readonly #lag: LoopLag;
  readonly #kv: MeasuredKv;
  readonly #keys: Keys;
  readonly #view: RegistryView;
  readonly #agent: Agent;
  readonly #leadership: Leadership;
  #listeners: ApiListeners | null = null;
  #isAgentStarted = false;
  #settled: Promise<void> = Promise.resolve();

  constructor(options: DaemonOptions, parts: Parts) {
    this.#options = options;
    this.#config = options.config;
    this.#place = parts.place;
    this.#parts = parts;
    const { config, log, onFatal } = options;
    this.#metrics = new PrometheusMetrics(log);
    this.#engineMetrics = new EngineMetrics(this.#metrics);
    this.#leadsSince = leaderStartTime(this.#metrics);
    this.#lag = new LoopLag({ clock: systemClock, log, warnAboveMs: LAG_WARNING_MS });
    this.#lag.measure(this.#metrics);
    const kv = new MeasuredKv(parts.store.kv, this.#metrics, systemClock);
    this.#kv = kv;
    this.#keys = new Keys(config.etcdKeyPrefix);
    const storeTrouble = () => parts.store.trouble;
    this.#view = new RegistryView({ kv, keys: this.#keys, clock: systemClock, log, storeTrouble, onNewer: onFatal });
    measureDaemon(this.#metrics, this.#view, parts.store.voters);
    parts.store.measure(this.#metrics);
    this.#agent = new Agent({
      registry: new KvAgentRegistry(kv, this.#keys, log, this.#guard()),
      units: parts.units,
      neighbours: this.#view,
      clock: systemClock,
      log,
      registration: () => this.#registration(),
      config: { agentTtlMs: config.agentTtlMs, handOverMs: HAND_OVER_MS },
      onFatal,
    });
    this.#leadership = new Leadership({
      clock: systemClock,
      log,
      become: (onDeposed, signal) => this.#becomeEngine(onDeposed, signal),
    });
  }

  /** When the store last showed that this process turns; the watchdog asks. */
  get lastTickAt(): number {
    return this.#parts.store.lastTickAt;
  }

  /** Resolves when the registry is read and has this machine, or when that takes too long to be waited for. */
  get settled(): Promise<void> {
    return this.#settled;
  }

  async start(): Promise<void> {
    const { log, inherited, scope } = this.#options;
    const { store } = this.#parts;
    this.#lag.start();
    const current = () => this.#config;
    const inspector = systemInspector(scope, this.#config.unitsDirectory);
    const addressOf = (id: MachineId) => this.#view.address(id) ?? "";
    const witness = witnessHandlers({ probe: probeHost, clock: systemClock, addressOf });
    await store.start(new Map([...machineHandlers(inspector), ...witness]), () =>
      this.#view.clusterLevel(this.#parts.store.voters),
    );
    store.onMayLead(() => this.#lead());
    const machineCalls = new DaemonMachineCalls({
      self: this.#options.machineId,
      inspector,
      calls: store.calls,
      address: (id) => this.#view.machine(id)?.peerAddress,
    });
    const api = createFleetApi({
      view: this.#view,
      units: new RegistryUnits(this.#kv, this.#keys, this.#view),
      machines: new RegistryMachines(this.#kv, this.#keys),
      machineCalls,
      inspection: machineCalls,
      ready: () => this.#view.ready || this.#whyNotReady(),
      get tokenLimit() {
        return current().tokenLimit;
      },
      version: VERSION,
      machineId: this.#options.machineId,
      leader: () =>
        currentLeader({ self: this.#options.machineId, leads: this.#leadership.leads, view: this.#view, store }),
      alarms: () => store.alarms,
      metrics: this.#metrics,
      metricsText: () => this.#metrics.text(),
      log,
      clock: systemClock,
    });
    const viewed = this.#view.start().catch((error: unknown) => this.#options.onFatal(asError(error)));
    // A client that started this daemon by its call, through systemd's socket, is answered and not sent away.
    const joined = Promise.all([viewed, this.#agent.registered]).then(() => {});
    this.#settled = Promise.race([joined, pause(systemClock, START_PATIENCE_MS)]);
    const handler = async (request: Request) => {
      await this.#settled;
      return await api(request, { signal: request.signal });
    };
    this.#listeners = new ApiListeners({ handler, inherited, log });
    await this.#listeners.open(this.#config.listenApi);
    this.#agent.start();
    this.#isAgentStarted = true;
    this.#lead();
  }

  /**
   * Follows a configuration that was read while the daemon runs; only options that the table lets change differ. Throws, with
   * nothing changed, when this host has no place in what it says.
   */
  async reconfigure(config: FltConfig): Promise<void> {
    const place = findPlace(config, defaultAddress);
    const before = { ttlMs: this.#config.agentTtlMs, registration: JSON.stringify(this.#registration()) };
    this.#config = config;
    this.#move(place);
    const isNews = JSON.stringify(this.#registration()) !== before.registration;
    if (isNews || config.agentTtlMs !== before.ttlMs) this.#agent.refresh(config.agentTtlMs);
    this.#lead();
    await this.#listeners?.change(config.listenApi);
  }

  /** Peers know the addresses of the start: only what this machine publishes follows, and a host without a route keeps that. */
  #move({ publicIp, peer }: Place): void {
    const { peer: known } = this.#place;
    if (known !== null && peer !== null && known.listen !== peer.listen) {
      this.#options.log.warning(
        `Cannot listen for peers on ${peer.listen} while the daemon runs: it stays ${known.listen}. Restart flt to change it`,
      );
    }
    if (publicIp !== "") this.#place = { ...this.#place, publicIp };
  }

  /** @param how handOver: stop this host's units, give them back to the cluster, leave it. Without: touch no unit. */
  async stop(how: { readonly handOver: boolean }): Promise<void> {
    const { store, units, lock } = this.#parts;
    if (this.#isAgentStarted) await this.#step("the agent", () => this.#agent.stop(how));
    await this.#step("the engine", () => this.#leadership.stop());
    await this.#step("the store's leadership", () => store.handOver());
    await this.#step("the API", () => this.#listeners?.close());
    await this.#step("the view", () => this.#view.stop());
    await this.#step("the store", () => store.stop());
    await this.#step("the connection to systemd", () => units.close());
    this.#lag.stop();
    await this.#step("the hold on the units directory", () => lock.release());
  }

  /** One part's failure to end must not keep the others from ending in order. */
  async #step(part: string, work: () => Promise<void> | undefined | void): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#options.log.error(`Ending ${part} failed`, { reason: reasonOf(error) });
    }
  }

  /** The engine runs where the store says, unless it is not allowed to. */
  #lead(): void {
    this.#leadership.set(this.#parts.store.mayLead && !this.#config.disableEngine);
  }

  async #becomeEngine(onDeposed: (why: string) => void, signal: AbortSignal): Promise<Leading> {
    const { machineId } = this.#options;
    const { identity } = this.#parts.data;
    const office = { kv: this.#kv, keys: this.#keys, view: this.#view, onLost: onDeposed };
    const candidate = { ...office, machineId, identity, signal };
    const term = await this.#parts.store.takeOffice(candidate);
    try {
      await this.#view.sync({ signal });
    } catch (error) {
      await term.resign();
      throw error;
    }
    const engine = this.#makeEngine(term, () => onDeposed("another engine has taken the leadership key"));
    engine.start();
    this.#leadsSince.set(Date.now() / 1000);
    return {
      stop: async () => {
        this.#leadsSince.set(0);
        await engine.stop();
        await term.resign();
      },
    };
  }

  #makeEngine({ session }: EngineTerm, onDeposed: () => void): Engine {
    const { log, machineId } = this.#options;
    const current = () => this.#config;
    return new Engine({
      view: this.#view,
      session,
      clock: systemClock,
      log,
      probe: new MachineProbes({ probe: probeHost, calls: this.#parts.store.calls, log }),
      selfId: machineId,
      config: {
        ...DEFAULT_ENGINE_CONFIG,
        get reconcileIntervalMs() {
          return current().engineReconcileIntervalMs;
        },
        get daemonGraceMs() {
          return current().daemonGraceMs;
        },
      },
      onDeposed,
      metrics: this.#engineMetrics,
    });
  }

  /** Somebody's etcd may come back without its data, or be another one. */
  #guard(): RegistryGuard | null {
    const { config } = this.#options;
    if (config.etcdServers.length === 0) return null;
    const memory = new DataDirMemory(config.dataDir, this.#parts.data, this.#keys.prefix);
    return new RegistryGuard(this.#kv, this.#keys, memory);
  }

  #registration(): MachineRegistration {
    const { machineId } = this.#options;
    return {
      id: machineId,
      identity: this.#parts.data.identity,
      publicIp: this.#place.publicIp,
      metadata: this.#config.metadata,
      version: VERSION,
      peerAddress: this.#place.peer?.advertise ?? "",
      format: FORMAT_LEVEL,
    };
  }

  #whyNotReady(): string {
    return this.#parts.store.trouble ?? "This daemon is still reading the registry";
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new StartError(String(error));
}
