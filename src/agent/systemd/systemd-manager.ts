/**
 * SystemdUnitManager: the UnitManager port on a real systemd.
 *
 * Idea. Orders are D-Bus calls, ends of jobs and changes of state are signals. A file goes into the units directory and
 * is linked at runtime; systemd reads it when it is first asked for the unit, so a reload is needed only when systemd has
 * an older file of this name in memory (another unit refers to it): measured, and asked for each time.
 *
 * Invariants.
 * - A load that fails leaves neither file nor link.
 * - The launched mark is set after systemd accepted the start, and taken away after it accepted a stop; in between it says that
 *   nobody knows.
 * - A file that somebody deleted does not make its unit less held: it is stopped by an unload as ever.
 *
 * Not here. The connection (connection.ts), states (unit-states.ts), files (unit-directory.ts), whose name it is (claims.ts).
 *
 * @module
 */
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import {
  type FenceState,
  type HeldUnit,
  type Order,
  type ReloadNeed,
  type UnitCondition,
  type UnitFile,
  type UnitManager,
  UnitManagerError,
  type UnitManagerListener,
} from "../unit-manager.ts";
import { type BusKind, BusRefusal } from "./bus.ts";
import { Claims, type InMemory } from "./claims.ts";
import { SystemdConnection } from "./connection.ts";
import { DirectoryWatch } from "./directory-watch.ts";
import { aliasesOf, Enablement, hasInstallSection } from "./enablement.ts";
import { SystemdFence } from "./fence.ts";
import { Jobs } from "./jobs.ts";
import { ManagerCalls } from "./manager-calls.ts";
import { typeProblem, unitOfPath, unitPath } from "./names.ts";
import { linkedUnits, unlinkAll, unlinkRuntime } from "./ownership.ts";
import { ignoreUnknownUnit, isRefusedByHand, isShortage } from "./refusals.ts";
import { HOST_SCOPE, type SystemdScope } from "./scope.ts";
import { type SystemdSignal, UNIT_INTERFACE } from "./signals.ts";
import { UnitDirectory } from "./unit-directory.ts";
import { UnitStates } from "./unit-states.ts";

export interface SystemdOptions {
  readonly unitsDirectory: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Which sockets to try, in this order; default: PID 1's own, then the system bus. */
  readonly kinds?: readonly BusKind[];
  /** Default: the host's. */
  readonly scope?: SystemdScope;
  /** CLOCK_MONOTONIC in microseconds. */
  readonly monotonicUs: () => bigint;
}

/** A reload reads every unit file of the host. */
const RELOAD_TIMEOUT_MS = 90_000;

/** Connects to this host's systemd. Rejects with UnitManagerError when there is none, or the directory is not usable. */
export async function connectSystemd(options: SystemdOptions): Promise<SystemdUnitManager> {
  const manager = new SystemdUnitManager(options);
  await manager.open();
  return manager;
}

export class SystemdUnitManager implements UnitManager {
  readonly #directory: UnitDirectory;
  readonly #connection: SystemdConnection;
  readonly #calls: ManagerCalls;
  readonly #scope: SystemdScope;
  readonly #jobs = new Jobs();
  readonly #listeners = new Set<UnitManagerListener>();
  /** Units that are held. */
  readonly #states: UnitStates;
  readonly #claims: Claims;
  readonly #watch: DirectoryWatch;
  readonly #enablement: Enablement;
  readonly #fence: SystemdFence;
  #unitDirectories: readonly string[] = [];

  constructor(options: SystemdOptions) {
    this.#directory = new UnitDirectory(options.unitsDirectory);
    this.#scope = options.scope ?? HOST_SCOPE;
    this.#connection = new SystemdConnection({
      kinds: options.kinds ?? ["private", "system"],
      scope: this.#scope,
      clock: options.clock,
      log: options.log,
      onSignal: (signal) => this.#hear(signal),
      onLost: () => {
        this.#jobs.lost(new UnitManagerError("disconnected", "Lost the connection to systemd while a job was running"));
        this.#tell((listener) => listener.connection("lost"));
      },
      onRegained: () => this.#tell((listener) => listener.connection("regained")),
    });
    this.#calls = new ManagerCalls(this.#connection, this.#jobs);
    this.#enablement = new Enablement({
      call: (member, signature, body) => this.#calls.call(member, signature, body),
      textOf: (name) => this.#directory.read(name),
      fileOf: (name) => this.#directory.fileOf(name),
      runtimeUnits: this.#scope.runtimeUnits,
      log: options.log,
    });
    this.#states = new UnitStates({
      calls: this.#calls,
      log: options.log,
      onChange: (name, condition) => this.#tell((listener) => listener.changed(name, condition)),
      onUnlinked: (name) => this.#tell((listener) => listener.lost(name)),
    });
    this.#claims = new Claims({
      calls: this.#calls,
      scope: this.#scope,
      unitDirectories: () => this.#unitDirectories,
      onFreed: (name) => this.#tell((listener) => listener.freed(name)),
    });
    this.#watch = new DirectoryWatch({
      directory: this.#directory,
      log: options.log,
      names: () => this.#states.names(),
      isHeld: (name) => this.#states.has(name),
      onMissing: (name) => this.#tell((listener) => listener.lost(name)),
    });
    const { monotonicUs } = options;
    this.#fence = new SystemdFence({ directory: this.#directory, scope: this.#scope, calls: this.#calls, monotonicUs });
  }

  async open(): Promise<void> {
    this.#directory.prepare();
    await this.#connection.open();
    this.#unitDirectories = (await this.#calls.ownProperty("UnitPath")) as string[];
    this.#learn();
    this.#watch.open();
  }

  close(): void {
    this.#watch.close();
    this.#connection.close();
  }

  subscribe(listener: UnitManagerListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  held(): Promise<readonly HeldUnit[]> {
    return Promise.resolve(this.#learn());
  }

  states(names: readonly string[]): Promise<ReadonlyMap<string, UnitCondition>> {
    return this.#door("read unit states", () => this.#states.read(names));
  }

  load(file: UnitFile): Promise<ReloadNeed> {
    return this.#door(`load "${file.name}"`, () => this.#load(file));
  }

  restore(file: UnitFile, launched: boolean): Promise<ReloadNeed> {
    return this.#door(`restore the file of "${file.name}"`, () => this.#restore(file, launched));
  }

  reload(): Promise<void> {
    return this.#door("reload systemd", async () => {
      await this.#calls.call("Reload", "", [], RELOAD_TIMEOUT_MS);
    });
  }

  start(name: string): Promise<Order> {
    return this.#door(`start "${name}"`, () => this.#orderMarked(name, "start"));
  }

  stop(name: string): Promise<Order> {
    return this.#door(`stop "${name}"`, () => this.#orderMarked(name, "stop"));
  }

  unload(name: string): Promise<ReloadNeed> {
    return this.#door(`unload "${name}"`, () => this.#unload(name).finally(() => this.#enablement.gone(name)));
  }

  armFence(afterMs: number): Promise<FenceState> {
    return this.#door("arm the fence", () => this.#fence.arm(afterMs));
  }

  async #orderMarked(name: string, verb: "start" | "stop"): Promise<Order> {
    const before = this.#directory.isLaunched(name) === true;
    this.#directory.beginOrder(name, verb);
    try {
      const order = await this.#give(verb === "start" ? "StartUnit" : "StopUnit", name);
      this.#directory.endOrder(name, verb === "start");
      return order;
    } catch (error) {
      // Without an answer the mark stays, and says that nobody knows.
      if (error instanceof BusRefusal) this.#directory.endOrder(name, before);
      throw error;
    }
  }

  async #load(file: UnitFile): Promise<ReloadNeed> {
    const { name } = file;
    const problem = typeProblem(name);
    if (problem !== undefined) throw new UnitManagerError("rejected", `Cannot load "${name}": ${problem}`);
    const memory = await this.#claim(file);
    try {
      await this.#put(file, false);
      const isStale = memory !== null && (memory.loadState === "masked" || (await this.#needsReload(name)));
      this.#states.loaded(name);
      if (isStale) return "before-start";
      return file.install ? "later" : "none";
    } catch (error) {
      // Without a connection nobody can say what was done: the next try finds the file and writes it again.
      if (!(error instanceof UnitManagerError && error.code === "disconnected")) {
        // An [Install] section that is wrong in one line is in force with the others.
        if (file.install) await this.#enablement.disable(name);
        unlinkRuntime(name, this.#directory.fileOf(name), this.#scope.runtimeUnits);
        this.#directory.remove(name);
        this.#enablement.gone(name);
      }
      throw error;
    }
  }

  /** What fails is tried again, and what was done of it stays: the unit is held, with or without. */
  async #restore(file: UnitFile, launched: boolean): Promise<ReloadNeed> {
    const memory = await this.#claim(file);
    await this.#put(file, launched);
    const isStale = memory !== null && (memory.loadState !== "loaded" || (await this.#needsReload(file.name)));
    return isStale ? "before-start" : "none";
  }

  #claim({ name, text, install }: UnitFile): Promise<InMemory | null> {
    const file = this.#directory.fileOf(name);
    return this.#claims.check({ name, file, aliases: install ? aliasesOf(name, text) : [] });
  }

  async #put({ name, text, install, fenced }: UnitFile, launched: boolean): Promise<void> {
    this.#directory.write(name, text);
    this.#watch.open();
    this.#directory.setLaunched(name, launched);
    this.#directory.setFenced(name, fenced);
    await this.#enablement.link(name);
    if (install) await this.#enablement.enable(name);
  }

  async #needsReload(name: string): Promise<boolean> {
    return (await this.#calls.property(unitPath(name), UNIT_INTERFACE, "NeedDaemonReload")) === true;
  }

  async #unload(name: string): Promise<ReloadNeed> {
    this.#claims.drop(name);
    const path = this.#directory.fileOf(name);
    const text = this.#directory.read(name);
    if (text === undefined && !this.#isHeld(name)) return "none";
    await this.#stopAndWait(name);
    const install = text !== undefined && hasInstallSection(text);
    if (install) await this.#enablement.disable(name);
    // Which links there are is not known without the file.
    if (text === undefined) unlinkAll([path], this.#scope.runtimeUnits);
    else unlinkRuntime(name, path, this.#scope.runtimeUnits);
    await this.#calls.call("ResetFailedUnit", "s", [name]).catch(ignoreUnknownUnit);
    this.#states.forget(name);
    this.#directory.remove(name);
    if (!install && text !== undefined) return "none";
    return (await this.#calls.isInMemory(name)) ? "later" : "none";
  }

  async #stopAndWait(name: string): Promise<void> {
    let result: string;
    try {
      this.#directory.setLaunched(name, false);
      const order = await this.#giveStop(name);
      result = await order.done;
    } catch (error) {
      ignoreUnknownUnit(error);
      return;
    }
    if (result === "done") return;
    const active = (await this.#states.read([name])).get(name)?.active;
    if (active === undefined || active === "inactive" || active === "failed") return;
    throw new UnitManagerError("rejected", `Cannot stop "${name}": systemd ended the job with "${result}"`);
  }

  /** With RefuseManualStop= systemd stops the unit only once it has forgotten its file. Else it would run here for ever. */
  async #giveStop(name: string): Promise<Order> {
    try {
      return await this.#give("StopUnit", name);
    } catch (error) {
      if (!isRefusedByHand(error)) throw error;
      unlinkRuntime(name, this.#directory.fileOf(name), this.#scope.runtimeUnits);
      await this.#calls.call("Reload", "", [], RELOAD_TIMEOUT_MS);
      return await this.#give("StopUnit", name);
    }
  }

  #give(member: string, name: string): Promise<Order> {
    return this.#calls.order(member, "ss", [name, "replace"]);
  }

  /** Nothing of D-Bus gets out of here: a refusal of systemd becomes a `rejected`. */
  async #door<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof BusRefusal)) throw error;
      if (isShortage(error)) throw new UnitManagerError("shortage", `Cannot ${what} now: ${error.message}`);
      throw new UnitManagerError("rejected", `Cannot ${what}: systemd refuses: ${error.message}`);
    }
  }

  #tell(what: (listener: UnitManagerListener) => void): void {
    for (const listener of this.#listeners) what(listener);
  }

  /** Reads the directory; what it holds is what is listened to. A file may be gone: its link, or the mark of its start, tells. */
  #learn(): readonly HeldUnit[] {
    const held = [...this.#directory.list()];
    const names = new Set(held.map((unit) => unit.name));
    for (const name of [...linkedUnits(this.#directory.path, this.#scope.runtimeUnits), ...this.#directory.marked()]) {
      if (names.has(name)) continue;
      names.add(name);
      const launched = this.#directory.isLaunched(name);
      held.push({ name, hash: null, launched, fenced: this.#directory.isFenced(name) });
    }
    this.#states.hold(names);
    return held;
  }

  #isHeld(name: string): boolean {
    return this.#states.has(name) || this.#directory.has(name) || this.#learn().some((unit) => unit.name === name);
  }

  #hear(signal: SystemdSignal): void {
    if (signal.kind === "job-removed") this.#jobs.ended(signal.job, signal.result);
    else if (signal.kind === "unit-changed") {
      const name = unitOfPath(signal.path);
      if (name !== undefined) this.#states.hear(name, signal.active, signal.sub);
    } else if (signal.kind === "reloading" && !signal.begins) {
      void this.#states.lookAgain(this.#states.names());
      void this.#claims.lookAgain();
    }
  }
}
