/**
 * One simulated host: a disk and a systemd that outlive the daemon, and the daemon that is started, paused and killed on them.
 *
 * @module
 */
import type { Membership, NodeId } from "#raft";
import type { CallHandler } from "../../../src/lib/calls.ts";
import { MemoryDisk } from "../../fakes/memory-disk.ts";
import { machineId } from "../../fakes/registry-world.ts";
import { FakeUnitManager } from "../../fakes/unit-manager.ts";
import { Life } from "../life.ts";
import type { VirtualTime } from "../virtual-time.ts";
import { Daemon, type DaemonPorts } from "./daemon.ts";

export interface HostOptions {
  readonly id: NodeId;
  /** It was told nothing: a leader takes it in, or not. */
  readonly isNewcomer: boolean;
  readonly time: VirtualTime;
  readonly random: () => number;
  readonly diskDelayMs: () => number;
  readonly clockRate: () => number;
  /** Told of each jump of a clock. */
  readonly onJump: (ms: number) => void;
  /** What the daemon's life is made of, beside what the host has. */
  readonly daemon: Omit<DaemonPorts, "id" | "life" | "disk" | "systemd" | "onStarted">;
  readonly kill: (id: NodeId) => void;
  readonly note: (line: string) => void;
  /** A unit of this host has changed, whether its daemon lives or not. */
  readonly onUnit: (name: string, active: string) => void;
  readonly onPowerOff: () => void;
}

const NO_HANDLERS: ReadonlyMap<string, CallHandler> = new Map();

export class Host {
  readonly id: NodeId;
  readonly machineId: string;
  readonly address: string;
  readonly isNewcomer: boolean;
  readonly disk: MemoryDisk;
  systemd: FakeUnitManager;
  daemon: Daemon | null = null;
  isPowered = true;
  /** A bit flipped on its disk, and no start has found it yet. */
  #isRotten = false;
  #life: Life | null = null;
  #unsubscribe: () => void = () => {};
  readonly #options: HostOptions;

  constructor(options: HostOptions) {
    this.id = options.id;
    this.isNewcomer = options.isNewcomer;
    this.machineId = machineId(options.id);
    this.address = `10.0.0.${options.id}:2380`;
    this.#options = options;
    this.systemd = this.#boot();
    this.disk = new MemoryDisk({
      random: options.random,
      delay: () => this.#onDisk(),
    });
  }

  get isUp(): boolean {
    return this.daemon !== null;
  }
  get isRunning(): boolean {
    return this.#life !== null && !this.#life.paused;
  }
  get leads(): boolean {
    return this.daemon?.raft.role === "leader";
  }
  /** As this one knows it. */
  get membership(): Membership | null {
    return this.daemon?.raft.status().membership ?? null;
  }
  get handlers(): ReadonlyMap<string, CallHandler> {
    return this.daemon?.handlers ?? NO_HANDLERS;
  }

  /** Its disk is damaged, or it recovers from that. */
  get isSick(): boolean {
    return this.#isRotten || this.disk.hardState.recovery !== undefined;
  }

  /** A bit flips, `chance` says where; the next start finds it. */
  damage(chance: number): void {
    this.#options.note(`damage ${this.id}`);
    this.kill();
    this.disk.corrupt(chance);
    this.#isRotten = true;
  }

  start(): void {
    this.isPowered = true;
    if (this.#life !== null) return;
    const { id, time, clockRate, daemon, note } = this.#options;
    const life = new Life(time, clockRate());
    this.#life = life;
    note(`start ${id}`);
    this.daemon = new Daemon({
      ...daemon,
      id,
      life,
      disk: this.disk,
      systemd: this.systemd,
      onStarted: () => {
        this.#isRotten = false;
      },
    });
    this.daemon.start();
  }

  /** kill -9: nothing is said, nothing more is written. */
  kill(): void {
    if (this.#life === null) return;
    this.#options.note(`kill ${this.id}`);
    const life = this.#life;
    this.#life = null;
    this.daemon = null;
    life.end();
    this.#options.kill(this.id);
    this.disk.crash();
  }

  /** Whatever ran on it is gone. */
  powerOff(): void {
    this.#options.note(`power off ${this.id}`);
    this.kill();
    this.isPowered = false;
    this.#unsubscribe();
    this.#options.onPowerOff();
    this.systemd = this.#boot();
  }

  #boot(): FakeUnitManager {
    const systemd = new FakeUnitManager({ clock: this.#options.time });
    this.#unsubscribe = systemd.subscribe({
      changed: (name, { active }) => this.#options.onUnit(name, active),
      lost: () => {},
      freed: () => {},
      connection: () => {},
    });
    return systemd;
  }

  pause(): void {
    if (this.#life === null) return;
    this.#options.note(`pause ${this.id}`);
    this.#life.paused = true;
  }

  resume(): void {
    if (this.#life?.paused !== true) return;
    this.#options.note(`resume ${this.id}`);
    this.#life.resume();
  }

  jump(ms: number): void {
    if (this.#life === null) return;
    this.#options.note(`clock of ${this.id} jumps ${Math.round(ms)}`);
    this.#options.onJump(ms);
    this.#life.jump(ms);
  }

  arrive(run: () => void): void {
    this.#life?.arrive(run);
  }

  snapshot(): void {
    const { daemon } = this;
    if (daemon === null || !this.isRunning) return;
    this.#options.note(`snapshot ${this.id}`);
    // Refused where it cannot be: what is to be seen is the snapshot, not the answer.
    daemon.raft.snapshotNow().catch(() => {});
  }

  transferTo(id: NodeId): void {
    if (!this.isRunning) return;
    this.daemon?.raft.transferLeader(id).catch(() => {});
  }

  async changeMembership(target: Membership): Promise<void> {
    await this.daemon?.raft.changeMembership(target);
  }

  #onDisk(): Promise<void> {
    const clock = this.#life?.clock ?? this.#options.time;
    return new Promise((resolve) => clock.after(this.#options.diskDelayMs(), resolve));
  }
}
