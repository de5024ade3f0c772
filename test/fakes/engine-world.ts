/**
 * An engine over a registry in memory, with machines that beat as long as the test says so.
 *
 * @module
 */
import { expect } from "bun:test";
import {
  DEFAULT_ENGINE_CONFIG,
  Engine,
  EngineMetrics,
  type MachineProbe,
  type WitnessQuestion,
} from "../../src/engine/index.ts";
import type { Clock } from "../../src/lib/clock.ts";
import { type Log, SILENT_LOG } from "../../src/lib/log.ts";
import type { JobState } from "../../src/model/states.ts";
import { becomeEngine, type EngineSession, type MachineSession } from "../../src/registry/index.ts";
import { CountingMetrics } from "./metrics.ts";
import { machineId, RegistryWorld, registration } from "./registry-world.ts";

export const TTL_MS = 4_000;
export const GRACE_MS = 60_000;
/** The engine runs on this machine. */
export const ENGINE_MACHINE = 9;

/** Kernels by machine number: what is not listed answers nobody. */
class FakeProbe implements MachineProbe {
  readonly alive = new Set<number>();
  /** Alive for everybody but the engine's machine. */
  readonly aliveElsewhere = new Set<number>();
  readonly asked: string[] = [];
  /** "witness: machine" of each question that was put from elsewhere. */
  readonly relayed: string[] = [];
  probe(address: string, signal: AbortSignal): Promise<"alive" | "silent"> {
    this.asked.push(address);
    const digit = Number(/10\.0\.0\.(\d+)/.exec(address)?.[1]);
    if (this.alive.has(digit)) return Promise.resolve("alive");
    return new Promise((resolve) => signal.addEventListener("abort", () => resolve("silent")));
  }
  probeFrom({ witness, machineId: id }: WitnessQuestion, signal: AbortSignal): Promise<"alive" | "silent"> {
    const digit = Number.parseInt(id.slice(0, 8), 16);
    this.relayed.push(`${witness}: ${digit}`);
    if (this.aliveElsewhere.has(digit)) return Promise.resolve("alive");
    return new Promise((resolve) => signal.addEventListener("abort", () => resolve("silent")));
  }
}

export class EngineWorld extends RegistryWorld {
  readonly probe = new FakeProbe();
  readonly machines = new Map<number, MachineSession>();
  readonly log: string[] = [];
  readonly metrics = new CountingMetrics();
  deposed = 0;
  engine: Engine | null = null;

  override async start(): Promise<this> {
    await super.start();
    await this.startEngine();
    return this;
  }
  override async stop(): Promise<void> {
    await this.stopEngine();
    await super.stop();
  }
  /** `wrap`: gets between the engine and its writes. */
  async startEngine(
    wrap: (session: EngineSession) => EngineSession = (session) => session,
    clock: Clock = this.clock,
  ): Promise<void> {
    const session = wrap(await becomeEngine(this.kv, this.keys, machineId(ENGINE_MACHINE), this.view));
    const note = (message: string) => this.log.push(message);
    const log: Log = { ...SILENT_LOG, info: note, notice: note, warning: note };
    this.engine = new Engine({
      view: this.view,
      session,
      clock,
      log,
      probe: this.probe,
      selfId: machineId(ENGINE_MACHINE),
      config: { ...DEFAULT_ENGINE_CONFIG, daemonGraceMs: GRACE_MS },
      onDeposed: () => {
        this.deposed += 1;
      },
      metrics: new EngineMetrics(this.metrics),
    });
    this.engine.start();
    await this.settle();
  }
  async stopEngine(): Promise<void> {
    const stopped = this.engine?.stop();
    await this.clock.advance(0);
    await stopped;
  }
  async join(digit: number, metadata: Record<string, string> = {}): Promise<void> {
    this.machines.set(digit, await this.agents.register(registration(digit, metadata), TTL_MS));
    await this.clock.advance(0);
  }
  async launch(name: string, placement = "", state: JobState = "launched"): Promise<void> {
    await this.put(name, placement, state);
    await this.clock.advance(0);
  }
  async setState(name: string, state: JobState): Promise<void> {
    await this.units.setDesiredState(name, state);
    await this.clock.advance(0);
  }
  async destroy(name: string): Promise<void> {
    await this.units.destroyUnit(name);
    await this.clock.advance(0);
  }
  /** Lets time pass while the daemons of these machines beat. */
  async pass(ms: number, beating: readonly number[]): Promise<void> {
    for (let left = ms; left > 0; left -= 1_000) {
      for (const digit of beating) await this.machines.get(digit)?.heartbeat();
      await this.clock.advance(Math.min(left, 1_000));
    }
  }
  /** Numbers of the machines that have an order for the unit. */
  holders(name: string): number[] {
    return [...this.view.scheduledMachines()]
      .filter((id) => this.view.scheduledOn(id, name) !== undefined)
      .map((id) => Number.parseInt(id.slice(0, 8), 16))
      .sort((a, b) => a - b);
  }
  /** Number of the machine that has the unit; null: nowhere. Job and orders must agree. */
  where(name: string): number | null {
    const machine = this.view.job(name)?.machine ?? null;
    const digit = machine === null ? null : Number.parseInt(machine.slice(0, 8), 16);
    expect(this.holders(name)).toEqual(digit === null ? [] : [digit]);
    return digit;
  }
}
