/**
 * One life of the daemon: the production classes of raft, store, replica, registry, engine and agent, joined as src/daemon joins them.
 *
 * @module
 */
import { type Entry, type NodeId, RaftNode, type RaftNodeConfig, type StateLoader } from "#raft";
import { Agent } from "../../../src/agent/agent.ts";
import { Leadership } from "../../../src/daemon/leadership.ts";
import { takeRaftOffice } from "../../../src/daemon/raft-office.ts";
import { DEFAULT_ENGINE_CONFIG, Engine, type MachineProbe } from "../../../src/engine/index.ts";
import type { CallHandler, Calls } from "../../../src/lib/calls.ts";
import { type Log, type LogFields, SILENT_LOG } from "../../../src/lib/log.ts";
import { Keys, KvAgentRegistry, RegistryUnits, RegistryView } from "../../../src/registry/index.ts";
import { type ReplicaConfig, ReplicaKv, replicaHandlers, StoreMachine } from "../../../src/replica/index.ts";
import type { Applied } from "../../../src/replica/store-machine.ts";
import type { MemoryDisk } from "../../fakes/memory-disk.ts";
import type { RaftNetwork } from "../../fakes/raft-network.ts";
import { machineId, registration } from "../../fakes/registry-world.ts";
import type { FakeUnitManager } from "../../fakes/unit-manager.ts";
import type { Life } from "../life.ts";
import { Violation } from "../violation.ts";
import type { Observer } from "./observer.ts";
import { SystemdOfLife } from "./systemd.ts";

export interface DaemonPorts {
  readonly id: NodeId;
  readonly life: Life;
  readonly disk: MemoryDisk;
  readonly systemd: FakeUnitManager;
  readonly network: RaftNetwork;
  readonly raftConfig: Omit<RaftNodeConfig, "id">;
  readonly replicaConfig: Partial<ReplicaConfig>;
  readonly addresses: ReadonlyMap<NodeId, string>;
  readonly random: () => number;
  readonly calls: (from: NodeId, life: Life) => Calls;
  readonly probe: (from: NodeId, life: Life) => MachineProbe;
  readonly observer: Observer;
  /** Its disk was read. */
  readonly onStarted: () => void;
}

/** Short ones, so that machines die and come back within a seed. */
const AGENT_TTL_MS = 2_000;
const DAEMON_GRACE_MS = 2_000;

/** The store as production has it, and the observer who sees what happens to it. */
class ObservedMachine extends StoreMachine {
  readonly #id: NodeId;
  readonly #observer: Observer;

  constructor(id: NodeId, observer: Observer) {
    super();
    this.#id = id;
    this.#observer = observer;
  }

  override apply(entry: Entry): Applied {
    const before = this.store.revision;
    const applied = super.apply(entry);
    this.#observer.applied(this.#id, entry, this.store, before);
    return applied;
  }

  override load(): StateLoader {
    const loader = super.load();
    const finish = () => {
      const replace = loader.finish();
      return () => {
        replace();
        this.#observer.restored(this.#id, this.position, this.store);
      };
    };
    return { write: (chunk) => loader.write(chunk), finish };
  }
}

/** Production's own word that members differ: they never should. */
function alarms(id: NodeId, observer: Observer): Log {
  const error = (message: string, fields: LogFields = {}) => {
    if (fields.decision === "diverged") observer.fail(new Violation("alarm", `member ${id}: ${message}`));
  };
  return { ...SILENT_LOG, error };
}

export class Daemon {
  readonly raft: RaftNode;
  readonly machine: StoreMachine;
  readonly kv: ReplicaKv;
  readonly units: RegistryUnits;
  readonly view: RegistryView;
  readonly life: Life;
  handlers: ReadonlyMap<string, CallHandler> = new Map();
  readonly #ports: DaemonPorts;
  readonly #keys = new Keys();
  readonly #agent: Agent;
  readonly #leadership: Leadership;

  constructor(ports: DaemonPorts) {
    this.#ports = ports;
    const { id, life, observer, network, random } = ports;
    const { clock } = life;
    this.life = life;
    this.machine = new ObservedMachine(id, observer);
    this.raft = new RaftNode(
      { id, ...ports.raftConfig },
      {
        clock,
        storage: ports.disk.open(),
        transport: network.transport(id),
        machine: this.machine,
        random,
        log: SILENT_LOG,
        onFatal: (error) => observer.fail(error),
      },
    );
    this.kv = new ReplicaKv({
      raft: this.raft,
      machine: this.machine,
      calls: ports.calls(id, life),
      members: ports.addresses,
      clock,
      log: alarms(id, observer),
      config: ports.replicaConfig,
      onHopeless: (error) => observer.fail(error),
    });
    const kv = observer.watchedKv(this.kv);
    this.view = new RegistryView({ kv, keys: this.#keys, clock, log: SILENT_LOG, onNewer: (e) => observer.fail(e) });
    this.units = new RegistryUnits(kv, this.#keys, this.view);
    this.#agent = new Agent({
      registry: new KvAgentRegistry(kv, this.#keys, SILENT_LOG),
      units: new SystemdOfLife(life, ports.systemd, (...order) => observer.ordered(id, ...order)),
      neighbours: this.view,
      clock,
      log: SILENT_LOG,
      registration: () => registration(id),
      config: { agentTtlMs: AGENT_TTL_MS },
      onFatal: (error) => observer.fail(error),
    });
    this.#leadership = new Leadership({
      clock,
      log: SILENT_LOG,
      become: (onDeposed, signal) => this.#becomeEngine(onDeposed, signal),
    });
  }

  start(): void {
    const { observer } = this.#ports;
    this.#start().catch((error: unknown) => observer.fail(error instanceof Error ? error : new Error(String(error))));
  }

  async #start(): Promise<void> {
    const { id, observer, disk, onStarted } = this.#ports;
    this.raft.onChange((state) => observer.changed(id, state, disk, disk.full || this.raft.status().diskFull));
    this.raft.onMembership((configuration) => observer.configured(id, configuration));
    await this.raft.start();
    onStarted();
    this.handlers = replicaHandlers(this.kv);
    observer.started(id);
    this.raft.onChange(() => this.#leadership.set(this.raft.role === "leader"));
    void this.view.start();
    this.#agent.start();
    this.#leadership.set(this.raft.role === "leader");
  }

  async #becomeEngine(onDeposed: (why: string) => void, signal: AbortSignal): Promise<Engine> {
    const { id, life, observer, probe } = this.#ports;
    const self = machineId(id);
    const office = observer.office(this.kv);
    const { session } = await takeRaftOffice({
      kv: office,
      keys: this.#keys,
      machineId: self,
      view: this.view,
      signal,
    });
    await this.view.sync({ signal });
    const engine = new Engine({
      view: this.view,
      session,
      clock: life.clock,
      log: SILENT_LOG,
      probe: probe(id, life),
      selfId: self,
      config: { ...DEFAULT_ENGINE_CONFIG, daemonGraceMs: DAEMON_GRACE_MS },
      onDeposed: () => onDeposed("another engine has taken the leadership key"),
    });
    engine.start();
    return engine;
  }
}
