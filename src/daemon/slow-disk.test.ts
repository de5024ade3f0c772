/**
 * Slow disks under a whole cluster: raft, store, registry, engine and agents as the daemon joins them, on disks that take their
 * time. The control plane may stand still; no workload may notice.
 *
 * @module
 */
import { afterEach, expect, test } from "bun:test";
import { KvCluster, type Member } from "../../test/fakes/kv-cluster.ts";
import { machineId, registration } from "../../test/fakes/registry-world.ts";
import { FakeUnitManager } from "../../test/fakes/unit-manager.ts";
import { Agent } from "../agent/agent.ts";
import { DEFAULT_ENGINE_CONFIG, Engine } from "../engine/index.ts";
import { SILENT_LOG } from "../lib/log.ts";
import { parseUnitFile } from "../model/unit-file.ts";
import { Keys, KvAgentRegistry, KvError, RegistryUnits, RegistryView } from "../registry/index.ts";
import { Leadership } from "./leadership.ts";
import { takeRaftOffice } from "./raft-office.ts";

const FILE = parseUnitFile("[Service]\nExecStart=/bin/sleep 1000\n");
const UNITS = Array.from({ length: 6 }, (_, index) => `u${index}.service`);

/** What a daemon makes of a member of the store. */
class Machine {
  readonly systemd: FakeUnitManager;
  readonly units: RegistryUnits;
  readonly view: RegistryView;
  readonly #agent: Agent;
  readonly #leadership: Leadership;

  constructor(cluster: KvCluster, { id, kv, raft }: Member) {
    const { clock } = cluster;
    this.systemd = new FakeUnitManager({ clock });
    const keys = new Keys();
    this.view = new RegistryView({ kv, keys, clock, log: SILENT_LOG });
    this.units = new RegistryUnits(kv, keys, this.view);
    this.#agent = new Agent({
      registry: new KvAgentRegistry(kv, keys, SILENT_LOG),
      units: this.systemd,
      neighbours: this.view,
      clock,
      log: SILENT_LOG,
      registration: () => registration(id),
      config: { agentTtlMs: 4_000 },
      onFatal: (error) => {
        throw error;
      },
    });
    this.#leadership = new Leadership({
      clock,
      log: SILENT_LOG,
      become: async (onDeposed, signal) => {
        const office = { kv, keys, view: this.view, machineId: machineId(id), signal };
        const engine = new Engine({
          view: this.view,
          session: (await takeRaftOffice(office)).session,
          clock,
          log: SILENT_LOG,
          // The hosts are alive: whoever asks their kernels is answered.
          probe: { probe: () => Promise.resolve("alive"), probeFrom: () => Promise.resolve("alive") },
          selfId: machineId(id),
          config: DEFAULT_ENGINE_CONFIG,
          onDeposed: () => onDeposed("another one leads"),
        });
        engine.start();
        return engine;
      },
    });
    raft.onChange(() => this.#leadership.set(raft.role === "leader"));
  }

  async start(isLeader: boolean): Promise<void> {
    await this.view.start();
    this.#leadership.set(isLeader);
    this.#agent.start();
  }
  async stop(): Promise<void> {
    await this.#leadership.stop();
    await this.#agent.stop({ handOver: false });
    await this.view.stop();
  }
  /** Every order that was given, and what runs now. */
  get workload(): string[] {
    return [...this.systemd.orders, ...this.systemd.names.map((name) => `${name} is held`)];
  }
}

let cluster: KvCluster;
let machines: Machine[];
afterEach(async () => {
  cluster.diskMs.clear();
  await Promise.all(machines.map((machine) => machine.stop()));
  await cluster.stop();
});

async function started(): Promise<void> {
  cluster = new KvCluster();
  await cluster.start();
  machines = [...cluster.members.values()].map((member) => new Machine(cluster, member));
  await Promise.all(
    [...cluster.members.values()].map((member, at) => machines[at]?.start(member.raft.role === "leader")),
  );
  const [first] = machines;
  await cluster.until(() => [...(first?.view.machines() ?? [])].length === 3);
  for (const name of UNITS) await first?.units.putUnit(name, FILE, "launched");
  await cluster.until(() => UNITS.every((name) => [...(first?.view.reports(name) ?? [])].some(isActive)));
}

const isActive = (report: { readonly active: string }): boolean => report.active === "active";

/** A write as a client would make it: how long it took, or how it was refused. */
async function write(): Promise<number | string> {
  const startMs = cluster.clock.now();
  try {
    await machines[0]?.units.putUnit("probe.service", FILE, "inactive");
    await machines[0]?.units.destroyUnit("probe.service");
    return (cluster.clock.now() - startMs) / 2;
  } catch (error) {
    if (!(error instanceof KvError)) throw error;
    return error.code;
  }
}

type Effect = "none" | "late" | "refused";
const cases: readonly (readonly [whose: "the leader" | "a follower" | "everybody", delayMs: number, effect: Effect])[] =
  [
    ["a follower", 3_000, "none"],
    ["the leader", 300, "late"],
    ["the leader", 1_500, "late"],
    ["the leader", 20_000, "refused"],
    ["everybody", 300, "late"],
    ["everybody", 1_500, "refused"],
    ["everybody", 5_000, "refused"],
    ["everybody", 30_000, "refused"],
  ];
test.each(cases)(
  "%s has a disk that takes %d ms a write; writes: %s; no unit notices",
  async (whose, delayMs, effect) => {
    await started();
    const before = machines.map((machine) => machine.workload);
    expect(before.flat().filter((line) => line.startsWith("start "))).toHaveLength(UNITS.length);
    const one = whose === "a follower" ? cluster.follower() : cluster.theLeader();
    for (const { id } of whose === "everybody" ? cluster.members.values() : [one]) cluster.diskMs.set(id, delayMs);
    const writes: (number | string)[] = [];
    for (let step = 0; step < 12; step++) {
      writes.push(await write());
      await cluster.advance(10_000);
      expect(machines.map((machine) => machine.workload)).toEqual(before);
    }
    const times = writes.filter((outcome) => typeof outcome === "number");
    if (effect === "none") expect(Math.max(...times)).toBeLessThan(100);
    if (effect === "late") expect(Math.min(...times)).toBeGreaterThanOrEqual(delayMs);
    expect(times.length < writes.length / 2).toBe(effect === "refused");

    // Once it is over (what is under way takes its time) the cluster does what it is asked to, and has nothing to make up for.
    cluster.diskMs.clear();
    await cluster.advance(delayMs + 20_000);
    await machines[0]?.units.setDesiredState(UNITS[0] ?? "", "loaded");
    await cluster.until(() => machines.some((machine) => machine.systemd.orders.includes(`stop ${UNITS[0]}`)));
    expect(machines.map((machine): string[] => machine.workload.filter((line) => !line.startsWith("stop ")))).toEqual(
      before,
    );
  },
);
