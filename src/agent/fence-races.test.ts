/**
 * Fenced units that are moved faster than machines hear of it: whatever the timing, no two of them run one at a time.
 *
 * Idea. Agents of three machines, each with its own slow way to one store; the engine moves a unit to and fro without waiting for
 * anybody. Everything that is slow is drawn from a seed. In the end, when nothing is slow any more, the unit runs where it belongs.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { machineId, RegistryWorld, registration } from "../../test/fakes/registry-world.ts";
import { FakeUnitManager } from "../../test/fakes/unit-manager.ts";
import { SeededRandom } from "../../test/sim/random.ts";
import { SILENT_LOG } from "../lib/log.ts";
import { pause } from "../lib/wait.ts";
import { parseUnitFile } from "../model/unit-file.ts";
import { becomeEngine, KvAgentRegistry, RegistryView } from "../registry/index.ts";
import type { Kv } from "../store/kv.ts";
import { Agent } from "./agent.ts";

/** A second of CPU. Without the report, or without the view's catching up, before the look, two run within 26 of them. */
const SEEDS = 40;
/** For machines that are very busy. */
const DEADLINE_MS = 60_000;
const MOVES = 12;
const VERY_LATE = 20;
const NAME = "a.service";
/** Its stop takes its time, so that there is something to overlap with. */
const FILE = parseUnitFile("[Service]\nExecStart=/bin/sleep 1000\nExecStop=/bin/sleep 1\n[X-Flt]\nFence=strict\n");

class Races {
  readonly #random: SeededRandom;
  readonly #world = new RegistryWorld();
  readonly #hosts: { readonly systemd: FakeUnitManager; readonly view: RegistryView; readonly agent: Agent }[] = [];
  readonly #running = new Set<number>();
  #slowMs = 0;
  starts = 0;
  overlaps = 0;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    for (const digit of [1, 2, 3]) this.#addHost(digit);
  }

  async run(): Promise<string | undefined> {
    const { clock, view, units } = this.#world;
    await this.#world.start();
    const engine = await becomeEngine(this.#world.local, this.#world.keys, machineId(1), view);
    for (const host of this.#hosts) {
      await host.view.start();
      host.agent.start();
    }
    await clock.advance(100);
    await units.putUnit(NAME, FILE, "launched");
    this.#slowMs = this.#random.pick([10, 50]);
    for (let move = 0; move < MOVES; move++) {
      const to = machineId(this.#random.int(1, 3));
      const job = view.job(NAME);
      if (job !== undefined && job.machine !== to) void engine.place([{ job, to, reason: "test" }], []);
      await this.#pass(this.#random.pick([1, 1, 5, 20]) * this.#random.int(0, 5 * this.#slowMs));
    }
    this.#slowMs = 0;
    await this.#pass(10_000);
    const expected = view.job(NAME)?.machine ?? "";
    for (const host of this.#hosts) {
      await host.agent.stop({ handOver: false });
      await host.view.stop();
    }
    await this.#world.stop();
    return [...this.#running].map(machineId).join() === expected ? undefined : `runs on ${[...this.#running]}`;
  }

  /** In small steps, so that what is slow by a little comes to its turn in between. */
  async #pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 50) await this.#world.clock.advance(Math.min(left, 50));
  }

  #addHost(digit: number): void {
    const { clock, keys, local } = this.#world;
    const kv = this.#slow(local);
    const systemd = new FakeUnitManager({ clock });
    systemd.subscribe({
      changed: (_name, { active }) => this.#changed(digit, active),
      lost: () => {},
      freed: () => {},
      connection: () => {},
    });
    const view = new RegistryView({ kv, keys, clock, log: SILENT_LOG });
    const agent = new Agent({
      registry: new KvAgentRegistry(kv, keys, SILENT_LOG),
      units: systemd,
      neighbours: view,
      clock,
      log: SILENT_LOG,
      registration: () => registration(digit),
      config: { agentTtlMs: 4_000 },
      onFatal: (error) => {
        throw error;
      },
    });
    this.#hosts.push({ systemd, view, agent });
  }

  #changed(digit: number, active: string): void {
    if (active === "inactive" || active === "failed") this.#running.delete(digit);
    else {
      if (!this.#running.has(digit)) this.starts += 1;
      this.#running.add(digit);
      if (this.#running.size > 1) this.overlaps += 1;
    }
  }

  /** What is asked arrives late, and so does the answer; what is watched is told late, in its order. */
  #slow(kv: Kv): Kv {
    const { clock } = this.#world;
    // Now and then very late: what a machine hears last may be what it should have heard first.
    const late = () => {
      const mostMs = this.#slowMs * (this.#random.chance(0.2) ? VERY_LATE : 1);
      return mostMs === 0 ? undefined : pause(clock, this.#random.int(0, mostMs));
    };
    return new Proxy(kv, {
      get: (target, key) => {
        const member = Reflect.get(target, key) as (...args: unknown[]) => unknown;
        if (key === "watch") {
          return (request: Parameters<Kv["watch"]>[0]) => {
            const watch = target.watch(request);
            return {
              ready: watch.ready,
              requestProgress: () => watch.requestProgress(),
              close: () => watch.close(),
              async *[Symbol.asyncIterator]() {
                for await (const batch of watch) {
                  await late();
                  yield batch;
                }
              },
            };
          };
        }
        return async (...args: unknown[]) => {
          await late();
          const answer = await member.apply(target, args);
          await late();
          return answer;
        };
      },
    });
  }
}

test(
  `a unit that is moved to and fro, ${SEEDS} times over: never twice, and in the end where it belongs`,
  async () => {
    let starts = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const races = new Races(seed);
      expect([seed, await races.run(), races.overlaps]).toEqual([seed, undefined, 0]);
      starts += races.starts;
    }
    expect(starts).toBeGreaterThan(2 * SEEDS);
  },
  DEADLINE_MS,
);
