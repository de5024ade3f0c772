/**
 * FakeUnitManager: a systemd in memory, as far as the UnitManager port shows it.
 *
 * Idea. It reads the unit's text as systemd would, for a handful of settings, so that one contract suite can run on it
 * and on the real one:
 *   ExecStart=/bin/sleep …  runs; /bin/true ends; /bin/false fails
 *   Type=oneshot            the job lasts until the process has ended; RemainAfterExit=yes keeps it active
 *   Type=notify             with /bin/sleep: never ready, the job goes on and on
 *   ExecStop=/bin/sleep N   the stop job lasts N seconds, or until release(name)
 *   Requires=X              X must be loaded
 *   RefuseManualStop=yes    a stop is refused, an unload is not
 *   ExecStart=bad           no absolute path: found out with the first start
 *   ConditionPathExists=/nonexistent   the start is skipped
 *
 * @module
 */
import {
  ABSENT,
  DORMANT,
  type FenceState,
  type HeldUnit,
  type JobResult,
  type Order,
  type ReloadNeed,
  type UnitCondition,
  type UnitFile,
  type UnitManager,
  UnitManagerError,
  type UnitManagerListener,
} from "../../src/agent/unit-manager.ts";
import type { Clock, Timer } from "../../src/lib/clock.ts";
import { FENCE_STOP_MS } from "../../src/model/fence.ts";
import { FakeJob } from "./systemd-job.ts";
import { option, sha1 } from "./unit-text.ts";

interface FakeUnit {
  text: string;
  isFileGone: boolean;
  isForgotten: boolean;
  launched: boolean | null;
  readonly fenced: boolean;
  condition: UnitCondition;
  job: FakeJob | null;
}

export class FakeUnitManager implements UnitManager {
  /** Every order, as it was given: "load a.service", "start a.service". */
  readonly orders: string[] = [];
  readonly #units = new Map<string, FakeUnit>();
  /** Names that are not to be had, and why. */
  readonly #taken: Map<string, string>;
  /** Kept in memory while they are not held; and those whose memory is older than the file. */
  readonly #pinned = new Set<string>();
  readonly #stale = new Set<string>();
  /** Kept in memory by what wants them, as of the last reload. */
  readonly #wanted = new Set<string>();
  readonly #listeners = new Set<UnitManagerListener>();
  readonly #clock: Clock;
  #fence: Timer | null = null;
  #hasFired = false;
  #connected = true;
  /** Where the connection is to break next. */
  #breaks: { readonly verb: string; readonly what: "answer" | "order" } | null = null;
  #hidden = "";
  #failNext: { readonly verb: string; readonly error: UnitManagerError } | null = null;

  constructor(options: { readonly clock: Clock; readonly hostUnits?: readonly string[] }) {
    this.#clock = options.clock;
    const why = "this machine's own systemd has a unit of this name";
    this.#taken = new Map(options.hostUnits?.map((name) => [name, why]));
  }

  // What a test does to it.

  /** The connection breaks; jobs that go on are not heard of any more. */
  disconnect(): void {
    this.#connected = false;
    for (const unit of this.#units.values()) unit.job?.forget();
    for (const listener of this.#listeners) listener.connection("lost");
  }
  reconnect(): void {
    this.#connected = true;
    for (const listener of this.#listeners) listener.connection("regained");
  }
  /** The next order of this kind fails. */
  failNext(verb: string, error: UnitManagerError): void {
    this.#failNext = { verb, error };
  }
  /** A stop or a start that hangs ends now. */
  release(name: string): void {
    const unit = this.#unit(name);
    if (unit.job?.kind === "stop") this.#become(name, { load: "loaded", active: "inactive", sub: "dead" });
    else this.#become(name, { load: "loaded", active: "active", sub: "running" });
    unit.job?.end("done");
  }
  /** The unit's process ends by itself. */
  crash(name: string): void {
    this.#become(name, { load: "loaded", active: "failed", sub: "failed", result: "signal" });
  }
  /** Somebody on the machine stops it with systemctl. */
  stopByHand(name: string): void {
    this.#become(name, { load: "loaded", active: "inactive", sub: "dead" });
  }
  /** Somebody takes systemd's link to the file away. */
  unlink(name: string): void {
    this.#unit(name).condition = ABSENT;
  }
  /** Somebody deletes its file; whether anybody is connected and hears it or not. */
  deleteFile(name: string): void {
    this.#unit(name).isFileGone = true;
    if (this.#connected) for (const listener of this.#listeners) listener.lost(name);
  }
  /** Nothing but systemd's memory of what runs is left of it: no file, link or mark. */
  forget(name: string): void {
    this.#unit(name).isForgotten = true;
  }
  /** Somebody's own link of this name, into the void, is in front of ours. */
  hide(name: string, isHidden = true): void {
    this.#unit(name).condition = { ...this.condition(name), load: isHidden ? "not-found" : "loaded" };
    this.#hidden = isHidden ? name : "";
  }
  /** As systemctl mask. */
  mask(name: string): void {
    this.#taken.set(name, "it is masked on this machine");
  }
  /** The host's unit of this name is gone, or its mask. */
  freeName(name: string): void {
    this.#taken.delete(name);
    for (const listener of this.#listeners) listener.freed(name);
  }
  /** The next order of this kind is carried out, but the connection breaks before its answer. */
  loseAnswer(verb: string): void {
    this.#breaks = { verb, what: "answer" };
  }
  /** The connection breaks before the next order of this kind arrives. */
  breakBefore(verb: string): void {
    this.#breaks = { verb, what: "order" };
  }
  /** Another unit refers to it: systemd keeps its old file in memory. */
  pin(name: string): void {
    this.#pinned.add(name);
  }
  condition(name: string): UnitCondition {
    return this.#units.get(name)?.condition ?? ABSENT;
  }
  /** Jobs that have not ended. */
  get jobs(): number {
    return this.#units.values().reduce((count, { job }) => count + (job === null ? 0 : 1), 0);
  }
  get names(): readonly string[] {
    return [...this.#units.keys()].sort((a, b) => (a < b ? -1 : 1));
  }

  // The port.

  subscribe(listener: UnitManagerListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async held(): Promise<readonly HeldUnit[]> {
    this.#mustBeConnected();
    return [...this.#units]
      .filter(([, unit]) => !unit.isForgotten)
      .map(([name, { text, isFileGone, launched, fenced }]) => {
        return { name, hash: isFileGone ? null : sha1(text), launched, fenced };
      })
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async states(names: readonly string[]): Promise<ReadonlyMap<string, UnitCondition>> {
    this.#mustBeConnected();
    return new Map(names.map((name) => [name, this.condition(name)]));
  }

  async load(file: UnitFile): Promise<ReloadNeed> {
    this.#begin("load", file.name);
    const why = this.#taken.get(file.name);
    if (why !== undefined) throw new UnitManagerError("name-taken", `Cannot load "${file.name}": ${why}`);
    if (/^WantedBy=.*\//m.test(file.text)) {
      throw new UnitManagerError("rejected", `Cannot load "${file.name}": systemd refuses: not a valid unit name`);
    }
    this.#units.set(file.name, {
      text: file.text,
      isFileGone: false,
      isForgotten: false,
      launched: false,
      fenced: file.fenced,
      condition: this.#units.get(file.name)?.isForgotten ? this.condition(file.name) : DORMANT,
      job: null,
    });
    if (this.#pinned.has(file.name) || this.#wanted.has(file.name)) {
      this.#stale.add(file.name);
      return "before-start";
    }
    return file.install ? "later" : "none";
  }

  async restore(file: UnitFile, launched: boolean): Promise<ReloadNeed> {
    this.#begin("restore", file.name);
    const unit = this.#unit(file.name);
    unit.text = file.text;
    unit.launched = launched;
    unit.isFileGone = false;
    if (this.#hidden !== file.name) unit.condition = { ...unit.condition, load: "loaded" };
    await this.#answer("restore");
    return "none";
  }

  async reload(): Promise<void> {
    this.#begin("reload", "");
    this.#stale.clear();
    this.#wanted.clear();
    for (const [name, unit] of this.#units) if (unit.text.includes("[Install]")) this.#wanted.add(name);
  }

  async start(name: string): Promise<Order> {
    this.#begin("start", name);
    const unit = this.#unit(name);
    if (this.#stale.has(name)) throw new Error(`The fake systemd would start the old file of "${name}"`);
    if (option(unit.text, "ExecStart") === "bad") {
      unit.condition = { ...DORMANT, load: "bad-setting" };
      throw new UnitManagerError("rejected", `Cannot start "${name}": systemd refuses: it has a bad unit file setting`);
    }
    const required = option(unit.text, "Requires");
    if (required !== undefined && !this.#units.has(required)) {
      throw new UnitManagerError("rejected", `Cannot start "${name}": systemd refuses: Unit ${required} not found.`);
    }
    const job = this.#job(unit, "start", () => this.#run(name, unit));
    unit.launched = null;
    await this.#answer("start");
    unit.launched = true;
    return job;
  }

  async stop(name: string): Promise<Order> {
    this.#begin("stop", name);
    const unit = this.#unit(name);
    if (option(unit.text, "RefuseManualStop") === "yes") {
      throw new UnitManagerError("rejected", `Cannot stop "${name}": systemd refuses: it is configured to refuse it`);
    }
    unit.launched = null;
    this.#breakOn("stop", "order");
    const job = this.#job(unit, "stop", () => this.#halt(name, unit));
    unit.launched = false;
    return job;
  }

  /** The file is taken away by the daemon that asked, if it is still there by then. */
  async unload(name: string, isThere: () => boolean = () => true): Promise<ReloadNeed> {
    this.#begin("unload", name);
    const unit = this.#units.get(name);
    if (unit === undefined) return "none";
    unit.launched = false;
    const result = await this.#job(unit, "stop", () => this.#halt(name, unit)).done;
    if (result !== "done") throw new UnitManagerError("rejected", `Cannot stop "${name}": systemd ended it: ${result}`);
    if (isThere()) this.#units.delete(name);
    return this.#wanted.has(name) ? "later" : "none";
  }

  async armFence(afterMs: number): Promise<FenceState> {
    this.#mustBeConnected();
    this.#failIfAsked("armFence");
    const state = this.#hasFired ? "fired" : "kept";
    this.#hasFired = false;
    this.#fence?.cancel();
    this.#fence = this.#clock.after(afterMs, () => this.#fire());
    return state;
  }

  /** What systemd does meanwhile it does all the same. */
  #answer(verb: string): Promise<void> {
    return Promise.resolve().then(() => this.#breakOn(verb, "answer"));
  }

  #breakOn(verb: string, what: "answer" | "order"): void {
    if (this.#breaks?.verb !== verb || this.#breaks.what !== what) return;
    this.#breaks = null;
    this.disconnect();
    this.#mustBeConnected();
  }

  // How units behave.

  /** As a timer of systemd does it: whether anybody is connected or not. What does not stop in time is killed. */
  #fire(): void {
    const fenced = [...this.#units].filter(([, unit]) => unit.fenced);
    for (const [name, unit] of fenced) {
      this.#hasFired = true;
      unit.launched = false;
      void this.#job(unit, "stop", () => this.#halt(name, unit));
    }
    this.#fence = this.#clock.after(FENCE_STOP_MS, () => {
      for (const [name, unit] of fenced) {
        if (unit.job?.kind !== "stop") continue;
        this.crash(name);
        unit.job.end("done");
      }
    });
  }

  /** The job's result; null: it goes on. */
  #run(name: string, unit: FakeUnit): JobResult | null {
    const { text } = unit;
    if (unit.condition.active === "active") return "done";
    const execStart = option(text, "ExecStart") ?? "";
    const oneshot = option(text, "Type") === "oneshot";
    if (option(text, "ConditionPathExists") === "/nonexistent") return "skipped";
    if (execStart.startsWith("/bin/false")) {
      this.#become(name, { load: "loaded", active: "failed", sub: "failed", result: "exit-code" });
      return oneshot ? "failed" : "done";
    }
    if (execStart.startsWith("/bin/true")) {
      const stays = option(text, "RemainAfterExit") === "yes";
      if (stays) this.#become(name, { load: "loaded", active: "active", sub: "exited" });
      else {
        this.#become(name, { load: "loaded", active: oneshot ? "activating" : "active", sub: "running" });
        this.#become(name, DORMANT);
      }
      return "done";
    }
    if (option(text, "Type") === "notify") {
      this.#become(name, { load: "loaded", active: "activating", sub: "start" });
      return null;
    }
    this.#become(name, { load: "loaded", active: "active", sub: "running" });
    return "done";
  }

  #halt(name: string, unit: FakeUnit): JobResult | null {
    if (["inactive", "failed"].includes(unit.condition.active)) return "done";
    const seconds = option(unit.text, "ExecStop")?.match(/^\/bin\/sleep (\d+)$/)?.[1];
    if (seconds !== undefined) {
      this.#become(name, { load: "loaded", active: "deactivating", sub: "stop" });
      const { job } = unit;
      this.#clock.after(Number(seconds) * 1000, () => unit.job === job && this.release(name));
      return null;
    }
    this.#become(name, { load: "loaded", active: "inactive", sub: "dead" });
    return "done";
  }

  /** A new job replaces the unit's pending one, unless it is of the same kind: then both are told of its end. */
  #job(unit: FakeUnit, kind: "start" | "stop", work: () => JobResult | null): Order {
    if (unit.job?.kind === kind) return unit.job.join();
    unit.job?.end("canceled");
    const job = new FakeJob(kind, (ended) => {
      if (unit.job === ended) unit.job = null;
    });
    unit.job = job;
    queueMicrotask(() => {
      if (unit.job !== job) return;
      const result = work();
      if (result !== null) job.end(result);
    });
    return job.join();
  }

  #become(name: string, condition: UnitCondition): void {
    const unit = this.#unit(name);
    unit.condition = condition;
    if (this.#connected) for (const listener of this.#listeners) listener.changed(name, condition);
  }

  #begin(verb: string, name: string): void {
    this.#mustBeConnected();
    this.orders.push(`${verb} ${name}`.trim());
    this.#failIfAsked(verb);
  }

  #failIfAsked(verb: string): void {
    const fail = this.#failNext;
    if (fail === null || fail.verb !== verb) return;
    this.#failNext = null;
    throw fail.error;
  }

  #unit(name: string): FakeUnit {
    const unit = this.#units.get(name);
    if (unit === undefined) throw new UnitManagerError("rejected", `Cannot find "${name}": Unit ${name} not found.`);
    return unit;
  }

  #mustBeConnected(): void {
    if (!this.#connected) throw new UnitManagerError("disconnected", "Lost the connection to systemd");
  }
}
