/**
 * A cluster in memory for tests of the API and the command line: registry, engine and agents played by one object.
 *
 * Idea. It keeps the promises of ClusterView, UnitWriter and MachineWriter and nothing else. Placement and agents are the test's
 * decisions: `autoplace` plays a prompt engine and healthy agents, or the test calls place() and report() itself.
 *
 * @module
 */
import { type Machine, overlayMetadata } from "../../src/model/machine.ts";
import { parseRequirements } from "../../src/model/requirements.ts";
import type { JobState, UnitReport } from "../../src/model/states.ts";
import { type UnitOption, unitHash } from "../../src/model/unit-file.ts";
import {
  type ClusterView,
  type Job,
  KvError,
  type MachineWriter,
  type MetadataEdit,
  type Refusal,
  RegistryError,
  type Scheduled,
  type UnitChange,
  type UnitChangeResult,
  type UnitWriteResult,
  type UnitWriter,
  type ViewChange,
} from "../../src/registry/types.ts";

function byKey<T>(map: ReadonlyMap<string, T>): T[] {
  return [...map].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, value]) => value);
}

export class FakeFleet implements ClusterView, UnitWriter, MachineWriter {
  revision = 1;
  /** What sync and writes reject with, while it is set. */
  failure: KvError | null = null;
  syncs = 0;
  writes: string[] = [];
  /** Plays engine and agent after each write; null: nobody does. */
  react: ((name: string) => void) | null = null;
  readonly #jobs = new Map<string, Job>();
  readonly #files = new Map<string, readonly UnitOption[]>();
  readonly #machines = new Map<string, Machine>();
  readonly #reports = new Map<string, UnitReport>();
  readonly #reasons = new Map<string, readonly Refusal[]>();
  readonly #listeners = new Set<(changes: readonly ViewChange[], revision: number) => void>();

  get listeners(): number {
    return this.#listeners.size;
  }

  job(name: string): Job | undefined {
    return this.#jobs.get(name);
  }
  jobs(): Job[] {
    return byKey(this.#jobs);
  }
  options(hash: string): readonly UnitOption[] | undefined {
    return this.#files.get(hash);
  }
  machine(id: string): Machine | undefined {
    return this.#machines.get(id);
  }
  machines(): Machine[] {
    return byKey(this.#machines);
  }
  reports(name?: string): UnitReport[] {
    return byKey(this.#reports).filter((report) => name === undefined || report.name === name);
  }
  report(machineId: string, name: string): UnitReport | undefined {
    return this.#reports.get(`${name} ${machineId}`);
  }
  scheduled(): Scheduled[] {
    return [];
  }
  reasons(name: string): readonly Refusal[] {
    return this.#reasons.get(name) ?? [];
  }
  subscribe(listener: (changes: readonly ViewChange[], revision: number) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  async sync(): Promise<void> {
    this.syncs += 1;
    if (this.failure !== null) throw this.failure;
  }

  async putUnit(name: string, options: readonly UnitOption[], desiredState: JobState): Promise<UnitWriteResult> {
    if (this.failure !== null) throw this.failure;
    this.writes.push(`put ${name} ${desiredState}`);
    const hash = unitHash(options);
    const before = this.#jobs.get(name);
    if (before !== undefined && before.hash === hash) return await this.setDesiredState(name, desiredState);
    this.#files.set(hash, options);
    this.#setJob({ ...this.#fresh(name), ...before, hash, desiredState });
    return { kind: before === undefined ? "created" : "replaced", revision: this.revision };
  }
  async setDesiredState(name: string, desiredState: JobState): Promise<UnitWriteResult> {
    if (this.failure !== null) throw this.failure;
    const before = this.#jobs.get(name);
    if (before === undefined) {
      return { kind: "refused", error: new RegistryError("unit-not-found", `no unit ${name}`) };
    }
    if (before.desiredState === desiredState) return { kind: "unchanged", revision: this.revision };
    this.writes.push(`state ${name} ${desiredState}`);
    this.#setJob({ ...before, desiredState, machine: desiredState === "inactive" ? null : before.machine });
    return { kind: "changed", revision: this.revision };
  }
  async destroyUnit(name: string): Promise<boolean> {
    if (this.failure !== null) throw this.failure;
    if (!this.#jobs.delete(name)) return false;
    this.writes.push(`destroy ${name}`);
    this.#emit({ kind: "job", name });
    return true;
  }

  async changeUnits(changes: readonly UnitChange[]): Promise<readonly UnitChangeResult[]> {
    return await Promise.all(
      changes.map(async (change): Promise<UnitChangeResult> => {
        try {
          return await this.#change(change);
        } catch (error) {
          if (error instanceof KvError) return { kind: "failed", error };
          throw error;
        }
      }),
    );
  }
  async #change(change: UnitChange): Promise<UnitWriteResult> {
    if (change.kind === "put") return await this.putUnit(change.name, change.options, change.desiredState);
    if (change.kind === "state") return await this.setDesiredState(change.name, change.desiredState);
    if (await this.destroyUnit(change.name)) return { kind: "destroyed", revision: this.revision };
    return { kind: "refused", error: new RegistryError("unit-not-found", `no unit ${change.name}`) };
  }
  async editMetadata(edits: readonly MetadataEdit[]): Promise<void> {
    if (this.failure !== null) throw this.failure;
    for (const { machineId, key, value } of edits) {
      this.writes.push(`metadata ${machineId} ${key} ${value}`);
      const before = this.#machines.get(machineId);
      if (before === undefined) continue;
      const metadata = overlayMetadata(before.metadata, new Map([[key, value]]));
      this.#machines.set(machineId, { ...before, metadata });
      this.#emit({ kind: "metadata", id: machineId });
    }
  }

  #fresh(name: string): Job {
    return { name, hash: "", desiredState: "inactive", machine: null, modRevision: 0 };
  }
  #setJob(job: Job): void {
    this.#jobs.set(job.name, { ...job, modRevision: this.revision + 1 });
    this.#emit({ kind: "job", name: job.name });
    this.react?.(job.name);
  }
  #emit(...changes: ViewChange[]): void {
    this.revision += 1;
    for (const listener of [...this.#listeners]) listener(changes, this.revision);
  }

  // What the test plays.

  addMachine(id: string, publicIp: string, metadata: Record<string, string> = {}): void {
    this.#machines.set(id, { id, publicIp, metadata, version: "0.1.0", peerAddress: "" });
    this.#emit({ kind: "machine", id });
  }
  removeMachine(id: string): void {
    this.#machines.delete(id);
    this.#emit({ kind: "machine", id });
  }
  place(name: string, machine: string | null): void {
    const job = this.#jobs.get(name);
    if (job === undefined) throw new Error(`place(): no unit ${name}`);
    this.#jobs.set(name, { ...job, machine });
    this.#emit({ kind: "job", name });
  }
  setReport(report: Partial<UnitReport> & { name: string; machineId: string }): void {
    const hash = this.#jobs.get(report.name)?.hash ?? "";
    this.#reports.set(`${report.name} ${report.machineId}`, {
      hash,
      load: "loaded",
      active: "active",
      sub: "running",
      jobState: "launched",
      ...report,
    });
    this.#emit({ kind: "report", machineId: report.machineId, name: report.name });
  }
  removeReport(machineId: string, name: string): void {
    this.#reports.delete(`${name} ${machineId}`);
    this.#emit({ kind: "report", machineId, name });
  }
  setReasons(name: string, reasons: readonly Refusal[]): void {
    this.#reasons.set(name, reasons);
    this.#emit({ kind: "reason", name });
  }
  reset(): void {
    this.#emit({ kind: "reset" });
  }

  /** From now on every unit is placed on `machineId` and its agent does at once what is wanted. Globals: on all machines. */
  autoplace(machineId: string): void {
    this.react = (name) => this.#obey(name, machineId);
  }
  #obey(name: string, machineId: string): void {
    const job = this.#jobs.get(name);
    if (job === undefined) return;
    const isGlobal = parseRequirements(name, this.#files.get(job.hash) ?? []).global;
    const targets = isGlobal ? [...this.#machines.keys()] : [machineId];
    if (job.desiredState === "inactive") {
      for (const target of targets) this.removeReport(target, name);
      return;
    }
    if (!isGlobal && job.machine === null) this.place(name, machineId);
    const isLaunched = job.desiredState === "launched";
    for (const target of targets) {
      const systemd = isLaunched ? { active: "active", sub: "running" } : { active: "inactive", sub: "dead" };
      this.setReport({ name, machineId: target, jobState: job.desiredState, ...systemd });
    }
  }
}
