/**
 * An agent between a registry in memory and a systemd in memory, on a virtual clock.
 *
 * @module
 */
import { Agent } from "../../src/agent/agent.ts";
import type { UnitManager } from "../../src/agent/unit-manager.ts";
import type { Clock } from "../../src/lib/clock.ts";
import { SILENT_LOG } from "../../src/lib/log.ts";
import { decodeText } from "../../src/lib/text.ts";
import { pause } from "../../src/lib/wait.ts";
import type { JobState, UnitReport } from "../../src/model/states.ts";
import { parseUnitFile } from "../../src/model/unit-file.ts";
import { becomeEngine } from "../../src/registry/index.ts";
import type { EngineSession, RegistryError } from "../../src/registry/types.ts";
import { type Kv, KvError, type Watch, type WatchRequest } from "../../src/store/kv.ts";
import { machineId, RegistryWorld, registration } from "./registry-world.ts";
import { FakeUnitManager } from "./unit-manager.ts";

export const SELF = machineId(1);

export const SLEEP = "[Service]\nExecStart=/bin/sleep 1000\n";
export const OTHER_SLEEP = "[Service]\nExecStart=/bin/sleep 2000\n";
export const FAILING = "[Service]\nType=oneshot\nExecStart=/bin/false\n";
export const ONESHOT = "[Service]\nType=oneshot\nExecStart=/bin/true\n";
export const NEVER_READY = "[Service]\nType=notify\nExecStart=/bin/sleep 1000\n";
export const FENCED = `${SLEEP}\n[X-Flt]\nFence=strict\n`;
export const SLOW_STOP = "[Service]\nExecStart=/bin/sleep 1000\nExecStop=/bin/sleep 1000\n";

/** A store that can be out of reach, or slow. */
class Outage {
  down = false;
  /** How long every answer takes. What was asked is done at once: a slow disk may have written it. */
  delayMs = 0;
  /** How long every question takes until it is done. */
  lateMs = 0;
  #deaf: string = SELF;
  #hearing = Promise.resolve();
  #hear: () => void = () => {};

  /** What is scheduled there is told late, as by a member that has to catch up: until listen(). */
  deafen(machine = SELF): void {
    this.#deaf = machine;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#hearing = promise;
    this.#hear = resolve;
  }
  listen(): void {
    this.#hear();
  }

  #late(watch: Watch, key: string): Watch {
    const closed = Promise.withResolvers<void>();
    const heard = () => (key.includes(this.#deaf) ? Promise.race([this.#hearing, closed.promise]) : undefined);
    return {
      ready: watch.ready,
      requestProgress: () => watch.requestProgress(),
      close: () => {
        watch.close();
        closed.resolve();
      },
      async *[Symbol.asyncIterator]() {
        for await (const batch of watch) {
          await heard();
          yield batch;
        }
      },
    };
  }

  wrap(kv: Kv, clock: () => Clock): Kv {
    return new Proxy(kv, {
      get: (target, key) => {
        const member = Reflect.get(target, key) as unknown;
        if (typeof member !== "function") return member;
        if (key === "watch") {
          return (request: WatchRequest) => {
            const watch = target.watch(request);
            const key = decodeText(request.key);
            return key.includes("/schedule/") ? this.#late(watch, key) : watch;
          };
        }
        return async (...args: unknown[]) => {
          if (this.down) throw new KvError("unavailable", "Cannot reach the store: no quorum");
          if (this.lateMs > 0) await pause(clock(), this.lateMs);
          const answer = await (member as (...all: unknown[]) => unknown).apply(target, args);
          if (this.delayMs > 0) await pause(clock(), this.delayMs);
          return answer;
        };
      },
    });
  }
}

export class AgentWorld {
  readonly registry: RegistryWorld;
  readonly outage: Outage;
  readonly systemd: FakeUnitManager;
  readonly fatal: RegistryError[] = [];
  /** What the agent's configuration says of its machine. */
  metadata: Readonly<Record<string, string>> = registration(1).metadata;
  /** The agent of machine 1. */
  agent: Agent;
  readonly #engine: EngineSession;

  private constructor(registry: RegistryWorld, outage: Outage, engine: EngineSession) {
    this.registry = registry;
    this.outage = outage;
    this.systemd = new FakeUnitManager({ clock: registry.clock, hostUnits: ["ssh.service"] });
    this.#engine = engine;
    this.agent = this.makeAgent();
  }

  /** The agent is made, and not started. */
  static async make(): Promise<AgentWorld> {
    const outage = new Outage();
    const registry: RegistryWorld = new RegistryWorld((kv) => outage.wrap(kv, () => registry.clock));
    await registry.start();
    const engine = await becomeEngine(registry.local, registry.keys, SELF, registry.view);
    return new AgentWorld(registry, outage, engine);
  }

  async close(): Promise<void> {
    await this.agent.stop({ handOver: false });
    await this.registry.stop();
  }

  /** @param digit Of its machine. */
  makeAgent(identity = registration(1).identity, units: UnitManager = this.systemd, digit = 1): Agent {
    return new Agent({
      registry: this.registry.agents,
      units,
      neighbours: this.registry.view,
      clock: this.registry.clock,
      log: SILENT_LOG,
      registration: () => ({ ...registration(digit), identity, metadata: this.metadata }),
      config: { agentTtlMs: 4000, handOverMs: 10_000 },
      onFatal: (error) => this.fatal.push(error),
    });
  }

  /** Starts the agent and lets it come to rest. */
  async start(): Promise<void> {
    this.agent.start();
    await this.run();
  }
  /** Ends the daemon without touching a unit, and makes the next one. */
  async restart(): Promise<void> {
    await this.agent.stop({ handOver: false });
    this.agent = this.makeAgent();
  }
  async run(ms = 0): Promise<void> {
    await this.registry.clock.advance(ms);
    await this.registry.settle();
  }

  /** Puts the unit and places it here, as API and engine would. */
  async schedule(name: string, text: string, state: JobState = "launched"): Promise<void> {
    await this.registry.units.putUnit(name, parseUnitFile(text), state);
    await this.registry.settle();
    await this.place([name], SELF);
    await this.run();
  }
  /** In one transaction, so that the agent reads of them at once. */
  async scheduleTogether(units: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, text] of Object.entries(units)) {
      await this.registry.units.putUnit(name, parseUnitFile(text), "launched");
    }
    await this.registry.settle();
    await this.place(Object.keys(units), SELF);
    await this.run();
  }
  async place(names: readonly string[], to: string | null): Promise<void> {
    const jobs = names.map((name) => this.registry.view.job(name)).filter((job) => job !== undefined);
    const placements = jobs.filter((job) => job.machine !== to).map((job) => ({ job, to, reason: "test" }));
    const { refused } = await this.#engine.place(placements, []);
    if (jobs.length < names.length || refused.length > 0) throw new Error(`The test could not place ${names}`);
    await this.registry.settle();
  }
  /** As when what is wanted was changed and changed back while the agent did not look: the same order, with a newer revision. */
  async writeOrderAgain(name: string): Promise<void> {
    const key = this.registry.keys.schedule(SELF, name);
    const { kvs } = await this.registry.local.range({ key });
    for (const { value } of kvs) {
      await this.registry.local.txn({ compare: [], success: [{ op: "put", key, value }], failure: [] });
    }
    await this.run();
  }
  async setState(name: string, state: JobState): Promise<void> {
    await this.registry.units.setDesiredState(name, state);
    await this.run();
  }

  report(name: string): UnitReport | undefined {
    return this.registry.view.report(SELF, name);
  }
  get isRegistered(): boolean {
    return this.registry.view.machine(SELF) !== undefined;
  }
  async revision(): Promise<number> {
    return (await this.registry.local.range(this.registry.keys.all)).revision;
  }
}
