/**
 * SystemdUnitManager: the UnitManager port on a real systemd.
 *
 * Idea. Orders are D-Bus calls, ends of jobs and changes of state are signals. A file goes into the units directory and
 * is linked at runtime; systemd reads it when it is first asked for the unit, so a reload is needed only when systemd has
 * an older file of this name in memory (another unit refers to it): measured, and asked for each time.
 *
 * Invariants.
 * - A load that fails leaves neither file nor link.
 * - The launched mark is set after systemd accepted the start, and taken away before a stop is ordered.
 *
 * Not here. The connection (connection.ts), files (unit-directory.ts), whose name it is (ownership.ts).
 *
 * @module
 */
import type { Clock } from "../../lib/clock.ts";
import { type Log, reasonOf } from "../../lib/log.ts";
import {
  DORMANT,
  type FenceState,
  type HeldUnit,
  type Order,
  type ReloadNeed,
  sameCondition,
  type UnitCondition,
  type UnitFile,
  type UnitManager,
  UnitManagerError,
  type UnitManagerListener,
} from "../unit-manager.ts";
import { type BusKind, BusRefusal } from "./bus.ts";
import { SystemdConnection } from "./connection.ts";
import { Enablement, hasInstallSection } from "./enablement.ts";
import { SystemdFence } from "./fence.ts";
import { Jobs } from "./jobs.ts";
import { ManagerCalls } from "./manager-calls.ts";
import { resultInterface, typeProblem, unitOfPath, unitPath } from "./names.ts";
import { hostFile, hostUnit, unlinkRuntime } from "./ownership.ts";
import { ignoreUnknownUnit, isRefusedByHand } from "./refusals.ts";
import { HOST_SCOPE, type SystemdScope } from "./scope.ts";
import { type SystemdSignal, UNIT_INTERFACE } from "./signals.ts";
import { UnitDirectory } from "./unit-directory.ts";

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
/** Names in one ListUnitsByNames; its answer is about 300 bytes a unit. */
const NAMES_MAX = 500;

/** Connects to this host's systemd. Rejects with UnitManagerError when there is none, or the directory is not usable. */
export async function connectSystemd(options: SystemdOptions): Promise<SystemdUnitManager> {
  const manager = new SystemdUnitManager(options);
  await manager.open();
  return manager;
}

interface Known {
  condition: UnitCondition;
  /** The number of the last signal about it. */
  heard: number;
}

export class SystemdUnitManager implements UnitManager {
  readonly #directory: UnitDirectory;
  readonly #connection: SystemdConnection;
  readonly #calls: ManagerCalls;
  readonly #log: Log;
  readonly #scope: SystemdScope;
  readonly #jobs = new Jobs();
  readonly #listeners = new Set<UnitManagerListener>();
  /** Units that are held, with what was last heard of them. */
  readonly #known = new Map<string, Known>();
  readonly #enablement: Enablement;
  readonly #fence: SystemdFence;
  #unitDirectories: readonly string[] = [];
  /** Counts the signals about units. */
  #signals = 0;

  constructor(options: SystemdOptions) {
    this.#directory = new UnitDirectory(options.unitsDirectory);
    this.#log = options.log;
    this.#scope = options.scope ?? HOST_SCOPE;
    this.#connection = new SystemdConnection({
      kinds: options.kinds ?? ["private", "system"],
      scope: this.#scope,
      clock: options.clock,
      log: options.log,
      onSignal: (signal) => this.#hear(signal),
      onLost: () => {
        this.#jobs.lost(new UnitManagerError("disconnected", "Lost the connection to systemd while a job was running"));
        for (const listener of this.#listeners) listener.connection("lost");
      },
      onRegained: () => {
        for (const listener of this.#listeners) listener.connection("regained");
      },
    });
    this.#calls = new ManagerCalls(this.#connection, this.#jobs);
    this.#enablement = new Enablement({
      call: (member, signature, body) => this.#calls.call(member, signature, body),
      textOf: (name) => this.#directory.read(name),
      fileOf: (name) => this.#directory.fileOf(name),
      runtimeUnits: this.#scope.runtimeUnits,
      log: options.log,
    });
    const { monotonicUs } = options;
    this.#fence = new SystemdFence({ directory: this.#directory, scope: this.#scope, calls: this.#calls, monotonicUs });
  }

  async open(): Promise<void> {
    this.#directory.prepare();
    await this.#connection.open();
    this.#unitDirectories = (await this.#calls.ownProperty("UnitPath")) as string[];
    this.#learn();
  }

  close(): void {
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
    return this.#door("read unit states", () => this.#readStates(names));
  }

  load(file: UnitFile): Promise<ReloadNeed> {
    return this.#door(`load "${file.name}"`, () => this.#load(file));
  }

  reload(): Promise<void> {
    return this.#door("reload systemd", async () => {
      await this.#calls.call("Reload", "", [], RELOAD_TIMEOUT_MS);
    });
  }

  start(name: string): Promise<Order> {
    return this.#door(`start "${name}"`, async () => {
      const order = await this.#give("StartUnit", name);
      this.#directory.setLaunched(name, true);
      return order;
    });
  }

  stop(name: string): Promise<Order> {
    return this.#door(`stop "${name}"`, async () => {
      this.#directory.setLaunched(name, false);
      return await this.#give("StopUnit", name);
    });
  }

  unload(name: string): Promise<ReloadNeed> {
    return this.#door(`unload "${name}"`, () => this.#unload(name).finally(() => this.#enablement.gone(name)));
  }

  armFence(afterMs: number): Promise<FenceState> {
    return this.#door("arm the fence", () => this.#fence.arm(afterMs));
  }

  async #load(file: UnitFile): Promise<ReloadNeed> {
    const { name } = file;
    const path = this.#directory.fileOf(name);
    const problem = typeProblem(name);
    if (problem !== undefined) throw new UnitManagerError("rejected", `Cannot load "${name}": ${problem}`);
    const inMemory = await this.#refuseHostUnits(name, path);
    this.#directory.write(name, file.text);
    try {
      this.#directory.setLaunched(name, false);
      this.#directory.setFenced(name, file.fenced);
      await this.#enablement.link(name);
      if (file.install) await this.#enablement.enable(name);
      const stale =
        inMemory && (await this.#calls.property(unitPath(name), UNIT_INTERFACE, "NeedDaemonReload")) === true;
      this.#known.set(name, { condition: DORMANT, heard: 0 });
      if (stale) return "before-start";
      return file.install ? "later" : "none";
    } catch (error) {
      // Without a connection nobody can say what was done: the next try finds the file and writes it again.
      if (!(error instanceof UnitManagerError && error.code === "disconnected")) {
        // An [Install] section that is wrong in one line is in force with the others.
        if (file.install) await this.#enablement.disable(name);
        unlinkRuntime(name, path, this.#scope.runtimeUnits);
        this.#directory.remove(name);
        this.#enablement.gone(name);
      }
      throw error;
    }
  }

  async #unload(name: string): Promise<ReloadNeed> {
    const path = this.#directory.fileOf(name);
    const text = this.#directory.read(name);
    if (text === undefined) return "none";
    await this.#stopAndWait(name);
    const install = hasInstallSection(text);
    if (install) await this.#enablement.disable(name);
    unlinkRuntime(name, path, this.#scope.runtimeUnits);
    await this.#calls.call("ResetFailedUnit", "s", [name]).catch(ignoreUnknownUnit);
    this.#known.delete(name);
    this.#directory.remove(name);
    return install && (await this.#calls.isInMemory(name)) ? "later" : "none";
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
    const active = (await this.#readStates([name])).get(name)?.active;
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

  /** Throws `name-taken`; tells whether systemd has a unit of this name in memory. */
  async #refuseHostUnits(name: string, path: string): Promise<boolean> {
    const refuse = (why: string) =>
      new UnitManagerError(
        "name-taken",
        `Cannot load "${name}": this machine's own systemd has a unit of this name, ${why}. Choose another name`,
      );
    const file = hostFile(name, path, this.#unitDirectories);
    if (file !== undefined) throw refuse(`in "${file}"`);
    if (!(await this.#calls.isInMemory(name))) return false;
    const object = unitPath(name);
    const [loadState, fragmentPath] = await Promise.all([
      this.#calls.property(object, UNIT_INTERFACE, "LoadState"),
      this.#calls.property(object, UNIT_INTERFACE, "FragmentPath"),
    ]);
    const origin = { loadState: String(loadState), fragmentPath: String(fragmentPath) };
    const why = hostUnit(name, path, this.#scope.runtimeUnits, origin);
    if (why !== undefined) throw refuse(why);
    return true;
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
      throw new UnitManagerError("rejected", `Cannot ${what}: systemd refuses: ${error.message}`);
    }
  }

  /** Reads the directory; what it holds is what is listened to. */
  #learn(): readonly HeldUnit[] {
    const held = this.#directory.list();
    const names = new Set(held.map((unit) => unit.name));
    for (const name of this.#known.keys()) if (!names.has(name)) this.#known.delete(name);
    for (const name of names) if (!this.#known.has(name)) this.#known.set(name, { condition: DORMANT, heard: 0 });
    return held;
  }

  /**
   * A signal that was read together with the answer is seen before it, and may be newer: what was heard since the
   * question wins. (Were it older, another signal is on its way.)
   */
  async #readStates(names: readonly string[]): Promise<ReadonlyMap<string, UnitCondition>> {
    const asked = this.#signals;
    const answers = new Map<string, UnitCondition>();
    for (let at = 0; at < names.length; at += NAMES_MAX) {
      const [rows] = await this.#calls.call("ListUnitsByNames", "as", [names.slice(at, at + NAMES_MAX)]);
      for (const [name, , load, active, sub] of rows as readonly string[][]) {
        if (name === undefined || load === undefined || active === undefined || sub === undefined) continue;
        answers.set(name, { load, active, sub });
      }
    }
    const failed = [...answers].filter(([, condition]) => condition.active === "failed").map(([name]) => name);
    const results = new Map(await Promise.all(failed.map(async (name) => [name, await this.#result(name)] as const)));
    for (const [name, answer] of answers) {
      const known = this.#known.get(name);
      let condition = known !== undefined && known.heard > asked ? known.condition : answer;
      const result = results.get(name);
      if (condition.active === "failed" && result !== undefined) condition = { ...condition, result };
      answers.set(name, condition);
      if (known !== undefined) known.condition = condition;
    }
    return answers;
  }

  #hear(signal: SystemdSignal): void {
    if (signal.kind === "job-removed") this.#jobs.ended(signal.job, signal.result);
    else if (signal.kind === "unit-changed") this.#changed(signal.path, signal.active, signal.sub);
    else if (signal.kind === "reloading" && !signal.begins) void this.#lookAgain([...this.#known.keys()]);
  }

  #changed(path: string, newActive: string | undefined, newSub: string | undefined): void {
    const name = unitOfPath(path);
    const known = name === undefined ? undefined : this.#known.get(name);
    if (name === undefined || known === undefined) return;
    const { active, sub } = known.condition;
    const now = newActive ?? active;
    const condition: UnitCondition = {
      // LoadState is never signalled; what is not inactive is loaded.
      load: now === "inactive" ? known.condition.load : "loaded",
      active: now,
      sub: newSub ?? sub,
    };
    known.heard = ++this.#signals;
    if (condition.active === active && condition.sub === sub) return;
    this.#tell(name, known, condition);
    if (condition.active === "failed") void this.#lookAgain([name]);
  }

  #tell(name: string, known: Known, condition: UnitCondition): void {
    known.condition = condition;
    for (const listener of this.#listeners) listener.changed(name, condition);
  }

  /** Reads these units' states anew and tells what is new. */
  async #lookAgain(names: readonly string[]): Promise<void> {
    try {
      const before = new Map(names.map((name) => [name, this.#known.get(name)?.condition]));
      for (const [name, condition] of await this.#readStates(names)) {
        const known = this.#known.get(name);
        const old = before.get(name);
        if (known !== undefined && old !== undefined && !sameCondition(old, condition)) {
          this.#tell(name, known, condition);
        }
      }
    } catch (error) {
      // A lost connection: everything is read again once it is back.
      if (!(error instanceof UnitManagerError || error instanceof BusRefusal)) throw error;
      this.#log.debug("Cannot read unit states", { reason: reasonOf(error) });
    }
  }

  /** systemd's Result property; undefined: units of this type have none. */
  async #result(name: string): Promise<string | undefined> {
    const owner = resultInterface(name);
    if (owner === undefined) return undefined;
    try {
      return String(await this.#calls.property(unitPath(name), owner, "Result"));
    } catch (error) {
      ignoreUnknownUnit(error);
      return undefined;
    }
  }
}
