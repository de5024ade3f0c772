/**
 * The store of this daemon, as the rest of it sees one: a Kv, a way to other machines, and a word on who may be the engine.
 *
 *   StoreMember (store-member.ts)   flt's own: a member of the raft group; raft's leader is the engine
 *   EtcdStore (etcd-store.ts)       somebody's etcd: no raft, no disk; the engine is elected with a lease
 *
 * Not here. What is done with it (daemon.ts), how a term of office begins and ends (leadership.ts).
 *
 * @module
 */
import type { CallHandler, Calls } from "../lib/calls.ts";
import type { ClusterLevel } from "../lib/format.ts";
import type { Metrics } from "../lib/metrics.ts";
import type { MachineId } from "../model/machine.ts";
import type { EngineTerm, Keys, RegistryView } from "../registry/index.ts";
import type { Kv } from "../store/kv.ts";

export interface Candidate {
  /** The store's own Kv, as the registry goes through it. */
  readonly kv: Kv;
  readonly keys: Keys;
  readonly view: RegistryView;
  readonly machineId: MachineId;
  /** Of this daemon's data directory: tells its own former term from that of a second host with this machine-id. */
  readonly identity: string;
  /** The candidate gives up. */
  readonly signal: AbortSignal;
  /** The term is over, or must be taken to be: the engine has to stop. */
  readonly onLost: (why: string) => void;
}

export interface DaemonStore {
  readonly kv: Kv;
  /** Asks other machines' daemons. */
  readonly calls: Calls;
  /** When the store last showed that this process turns; the watchdog asks. */
  readonly lastTickAt: number;
  /** Whether this daemon may try to be the engine now. */
  readonly mayLead: boolean;
  /** Called whenever `mayLead` may have changed. */
  onMayLead(listener: () => void): void;
  /** Resolves when this daemon is the engine; waits for as long as another one rightly is, or until the signal. */
  takeOffice(candidate: Candidate): Promise<EngineTerm>;
  /** Whether the machine at this peer address ("": none) may be the engine now; the leadership key alone names the last one. */
  mayBeLedBy(address: string): boolean;
  /** Why the registry cannot be read, for an operator; null: nothing is wrong here. */
  readonly trouble: string | null;
  /** What is wrong with the store as a whole though it answers, for an operator; mostly nothing. */
  readonly alarms: readonly string[];
  measure(metrics: Metrics): void;
  /** Peer addresses of the members that apply what is written; none where somebody else's store does. */
  readonly voters: readonly string[];
  /**
   * @param handlers What this daemon answers when another one asks.
   * @param clusterLevel What may be written so that every member can apply it.
   */
  start(handlers: ReadonlyMap<string, CallHandler>, clusterLevel: () => ClusterLevel): Promise<void>;
  /** Lets others take over whatever this daemon leads in the store itself, before stop(). */
  handOver(): Promise<void>;
  stop(): Promise<void>;
}
