/**
 * Sees what every daemon does and hands it to the checkers: the first broken promise ends the run.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { Configuration, Entry, Message, NodeId, SoftState } from "#raft";
import { Keys } from "../../../src/registry/keys.ts";
import { decodeCommand, encodeCommand } from "../../../src/store/codec.ts";
import type { CallOptions, Kv, Lease, LeaseId, ReadOptions, TxnRequest, TxnResponse } from "../../../src/store/kv.ts";
import type { Store } from "../../../src/store/store.ts";
import type { MemoryDisk } from "../../fakes/memory-disk.ts";
import { machineId } from "../../fakes/registry-world.ts";
import { FenceCheck } from "../check/fences.ts";
import { LeaseCheck } from "../check/leases.ts";
import { type Office, PlacementCheck } from "../check/placement.ts";
import { Truth } from "../check/truth.ts";
import { Checkers } from "../raft/checkers.ts";
import { Violation } from "../violation.ts";
import type { VirtualTime } from "../virtual-time.ts";
import { ForwardingKv } from "./forwarding-kv.ts";
import type { OnOrder } from "./systemd.ts";

export interface ObserverOptions {
  readonly time: VirtualTime;
  readonly skew: number;
  readonly note: (line: string) => void;
  readonly fail: (error: Error) => void;
}

const MACHINE = `${new Keys().prefix}machine/`;

/**
 * A unit that has been wanted here for so long is stopped by nobody: longer than any fault keeps an agent from hearing it. One that was wanted
 * here before the daemon's life began is unloaded by nobody in that life: what it reads of its schedule is no older than itself.
 */
const SETTLED_MS = 14_000;

export class Observer {
  readonly raft = new Checkers();
  readonly truth = new Truth();
  readonly leases: LeaseCheck;
  readonly placement = new PlacementCheck();
  readonly fences = new FenceCheck();
  /** Which engines sent a transaction of these bytes. */
  readonly #offices = new Map<string, Set<Office>>();
  /** Hash of the file that a host got last. */
  readonly #held = new Map<string, string>();
  readonly #options: ObserverOptions;
  /** When each host's daemon came up last. */
  readonly #beganMs = new Map<NodeId, number>();
  #lastIndex = 0;
  elections = 0;
  restores = 0;
  orders = 0;
  configurations = 0;

  constructor(options: ObserverOptions) {
    this.#options = options;
    this.leases = new LeaseCheck(options.skew);
  }

  fail(error: Error): void {
    this.#options.fail(error);
  }

  sent(message: Message): void {
    this.#guard(() => this.raft.sent(message));
  }

  /** @param hadNoRoom Part of its log may be in its memory alone. */
  changed(id: NodeId, state: SoftState, disk: MemoryDisk, hadNoRoom: boolean): void {
    this.#options.note(`${state.role} ${id} term ${state.term} leader ${state.leader}`);
    if (state.role !== "leader") return;
    this.elections += 1;
    this.#guard(() => this.raft.elected(id, state.term, disk, hadNoRoom));
  }

  configured(id: NodeId, configuration: Configuration): void {
    this.configurations += 1;
    this.#options.note(`membership ${id} ${JSON.stringify(configuration)}`);
    this.#guard(() => this.raft.membership(id, configuration));
  }

  applied(id: NodeId, entry: Entry, store: Store, before: number): void {
    this.#guard(() => {
      this.raft.applied(id, entry);
      const { leaderRevision } = this.placement;
      const news = this.truth.applied(`member ${id}`, entry.index, store, before);
      const nowMs = this.#options.time.now();
      for (const revision of news) {
        const changes = this.truth.changesAt(revision);
        this.placement.revision(revision, changes, nowMs);
        if (changes.some(({ key, value }) => key.startsWith(MACHINE) && value === null)) this.fences.disturbed(nowMs);
      }
      if (entry.index > this.#lastIndex) {
        this.#lastIndex = entry.index;
        this.#first(entry, news.length > 0, leaderRevision);
      }
    });
  }

  restored(id: NodeId, index: number, store: Store): void {
    this.restores += 1;
    this.#options.note(`restore ${id} to ${index}`);
    this.#guard(() => this.truth.restored(`member ${id}`, index, store));
  }

  ordered(id: NodeId, ...[verb, name, text]: Parameters<OnOrder>): void {
    this.orders += 1;
    this.#options.note(`${verb} ${name} on ${id}`);
    const held = `${id} ${name}`;
    if (verb === "load") this.#held.set(held, createHash("sha1").update(text).digest("hex"));
    if (verb === "load" || verb === "start") return;
    const scheduled = this.placement.schedules.get(name)?.get(machineId(id));
    if (scheduled === undefined || scheduled.desiredState !== "launched") return;
    // An older file gives way to the one that belongs there.
    if (scheduled.hash !== this.#held.get(held)) return;
    const sinceMs = this.#options.time.now() - scheduled.sinceMs;
    const isInherited = verb === "unload" && scheduled.sinceMs < (this.#beganMs.get(id) ?? 0);
    if (sinceMs < SETTLED_MS && !isInherited) return;
    this.fail(
      new Violation("workload", `host ${id}: ${verb} ${name}, which belongs there for ${Math.round(sinceMs)} ms`),
    );
  }

  /** A daemon begins to act. */
  started(id: NodeId): void {
    this.#beganMs.set(id, this.#options.time.now());
    this.fences.disturbed(this.#options.time.now());
  }

  unitChanged(id: NodeId, name: string, active: string): void {
    this.#options.note(`${name} on ${id} is ${active}`);
    this.#guard(() => this.fences.changed(id, name, active, this.#options.time.now()));
  }

  jumped(ms: number): void {
    this.leases.jumped(this.#options.time.now(), ms);
    this.fences.jumped(this.#options.time.now(), ms);
  }

  /** What the daemon's rooms use: renewals are seen. */
  watchedKv(kv: Kv): Kv {
    return new RenewalsSeen(kv, this.#options, this.leases);
  }

  /** For one term of office of an engine: its writes are known again when they are applied. */
  office(kv: Kv): Kv {
    return new OfficeKv(kv, (office, request) => {
      const bytes = textOf(encodeCommand({ kind: "txn", request }));
      const offices = this.#offices.get(bytes) ?? new Set<Office>();
      this.#offices.set(bytes, offices.add(office));
    });
  }

  #first(entry: Entry, hasChanged: boolean, leaderRevision: number): void {
    const nowMs = this.#options.time.now();
    const command = decodeCommand(entry.data);
    if (command.kind === "lease-revoke") {
      this.#options.note(`leases ${command.ids.join(" ")} end`);
      this.leases.revoked(command.ids, nowMs);
    }
    if (command.kind !== "txn" || !hasChanged) return;
    const offices = this.#offices.get(textOf(entry.data));
    if (offices !== undefined) this.placement.engineWrote(offices, leaderRevision);
  }

  #guard(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.fail(error instanceof Error ? error : new Error(String(error)));
    }
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}

class RenewalsSeen extends ForwardingKv {
  readonly #time: VirtualTime;
  readonly #leases: LeaseCheck;
  readonly #note: (line: string) => void;

  constructor(kv: Kv, { time, note }: ObserverOptions, leases: LeaseCheck) {
    super(kv);
    this.#note = note;
    this.#time = time;
    this.#leases = leases;
  }

  override async leaseGrant(
    request: { readonly ttlMs: number; readonly id?: LeaseId },
    options?: CallOptions,
  ): Promise<Lease> {
    const sentAtMs = this.#time.now();
    const lease = await super.leaseGrant(request, options);
    this.#leases.granted(lease.id, lease.ttlMs, sentAtMs);
    return lease;
  }

  override async leaseKeepAlive(id: LeaseId, options?: CallOptions): Promise<Lease> {
    const sentAtMs = this.#time.now();
    const lease = await super.leaseKeepAlive(id, options);
    this.#leases.renewed(id, sentAtMs);
    this.#note(`renewed ${id}, asked at ${sentAtMs.toFixed(3)}`);
    return lease;
  }

  override async leaseRevoke(id: LeaseId, options?: CallOptions): Promise<void> {
    this.#leases.givenUp(id);
    await super.leaseRevoke(id, options);
  }
}

class OfficeKv extends ForwardingKv {
  readonly #office: Office = { revision: null };
  readonly #onWrite: (office: Office, request: TxnRequest) => void;

  constructor(kv: Kv, onWrite: (office: Office, request: TxnRequest) => void) {
    super(kv);
    this.#onWrite = onWrite;
  }

  /** The first write takes the office. */
  override async txn(request: TxnRequest, options?: ReadOptions): Promise<TxnResponse> {
    if (this.#office.revision !== null) {
      this.#onWrite(this.#office, request);
      return super.txn(request, options);
    }
    const answer = await super.txn(request, options);
    this.#office.revision = answer.revision;
    return answer;
  }
}
