/**
 * AgentRegistry: how a machine joins the cluster, reports, reads its orders, and leaves.
 *
 * Problem. A daemon that restarts must get its own place back; a second host with the same machine-id must not take it.
 * Idea. The registration carries an identity and hangs on a lease. Same identity: takes over, the old lease runs out unused.
 * Another identity: refused for as long as that lease lives.
 * Invariants.
 * - Reports are written only by the session that holds the machine's key, under its lease: they vanish with it. A session that takes over
 *   from another keeps what that reported: a machine that is only restarted never seems to hold nothing.
 * - leave() removes the machine's key no later than its units' places, so that nothing can be placed here meanwhile.
 *
 * Not here. When to beat, publish or leave (agent/).
 *
 * @module
 */
import { NewerFormatError } from "../lib/format.ts";
import { type Log, reasonOf } from "../lib/log.ts";
import { type MachineId, shortMachineId } from "../model/machine.ts";
import type { UnitReport } from "../model/states.ts";
import type { UnitOption } from "../model/unit-file.ts";
import { type CallOptions, type Kv, KvError, type Lease, type LeaseId, type TxnResponse } from "../store/kv.ts";
import type { RegistryGuard } from "./guard.ts";
import type { Keys } from "./keys.ts";
import { leaveMachine } from "./leave.ts";
import { absent, holdsLease, MAX_TXN_OPERATIONS, put, read, remove, unchangedSince } from "./operations.ts";
import { decodeMachine, decodeUnitFile, encodeAddress, encodeMachine, encodeReport } from "./records.ts";
import { watchSchedule } from "./schedule-watch.ts";
import {
  type AgentRegistry,
  type MachineRegistration,
  type MachineSession,
  RegistryError,
  type ScheduleWatch,
} from "./types.ts";

/** Each further try has lost a race against another registration of the same machine. */
const MAX_TRIES = 4;

export class KvAgentRegistry implements AgentRegistry {
  readonly #kv: Kv;
  readonly #keys: Keys;
  readonly #log: Log;
  readonly #guard: RegistryGuard | null;

  /** @param guard Where the store may turn out to be another one. */
  constructor(kv: Kv, keys: Keys, log: Log, guard: RegistryGuard | null = null) {
    this.#kv = kv;
    this.#keys = keys;
    this.#log = log;
    this.#guard = guard;
  }

  async register(registration: MachineRegistration, ttlMs: number, options?: CallOptions): Promise<MachineSession> {
    const { id } = registration;
    const key = this.#keys.machine(id);
    await this.#guard?.confirm(options);
    let held = await this.#kv.range({ key }, options);
    this.#refuseOtherHost(registration, held.kvs[0]?.value);
    const lease = await this.#kv.leaseGrant({ ttlMs }, options);
    let hasMoved = false;
    try {
      for (let tries = 0; tries < MAX_TRIES; tries += 1) {
        const before = held.kvs[0];
        const reports = before === undefined ? [] : (await this.#kv.range(this.#keys.statesOf(id), options)).kvs;
        const moves = reports.map(({ key, value }) => put(key, value, lease.id));
        const compare = [before === undefined ? absent(key) : unchangedSince(key, before.modRevision)];
        const address = encodeAddress({ address: registration.peerAddress, format: registration.format });
        const success = [put(key, encodeMachine(registration), lease.id), put(this.#keys.address(id), address)];
        // What one write cannot take goes ahead of it: the new lease outlives what is left of the former one.
        const ahead = moves.splice(MAX_TXN_OPERATIONS - success.length);
        hasMoved ||= ahead.length > 0;
        for (let first = 0; first < ahead.length; first += MAX_TXN_OPERATIONS) {
          const batch = ahead.slice(first, first + MAX_TXN_OPERATIONS);
          await this.#kv.txn({ compare, success: batch, failure: [] }, options);
        }
        success.push(...moves);
        const answer = await this.#kv.txn({ compare, success, failure: [read({ key })] }, options);
        if (answer.succeeded) return new KvMachineSession(this.#kv, this.#keys, id, lease, this.#unitsOf(reports));
        held = rangeOf(answer);
        this.#refuseOtherHost(registration, held.kvs[0]?.value);
      }
    } catch (error) {
      if (!hasMoved) await this.#dropLease(lease.id);
      throw error;
    }
    if (!hasMoved) await this.#dropLease(lease.id);
    throw new RegistryError(
      "conflict",
      `Cannot register machine ${shortMachineId(id)}: others write its key all the time`,
    );
  }

  watchSchedule(machineId: MachineId): ScheduleWatch {
    return watchSchedule({ kv: this.#kv, keys: this.#keys, machineId, log: this.#log, guard: this.#guard });
  }

  /** A unit file never changes, so this member's own copy will do when it has one. */
  async unitFile(hash: string, options: CallOptions = {}): Promise<readonly UnitOption[] | undefined> {
    const key = this.#keys.unit(hash);
    let answer = await this.#kv.range({ key }, { ...options, serializable: true });
    if (answer.kvs.length === 0) answer = await this.#kv.range({ key }, options);
    const [kv] = answer.kvs;
    return kv === undefined ? undefined : decodeUnitFile(kv.value);
  }

  #unitsOf(reports: readonly { readonly key: Uint8Array }[]): readonly string[] {
    return reports.flatMap(({ key }) => {
      const parsed = this.#keys.parse(key);
      return parsed?.kind === "state" ? [parsed.name] : [];
    });
  }

  #refuseOtherHost(registration: MachineRegistration, stored: Uint8Array | undefined): void {
    if (stored === undefined) return;
    const holder = this.#readMachine(registration.id, stored);
    if (holder === null || holder.identity === registration.identity) return;
    throw new RegistryError(
      "machine-id-taken",
      `Cannot register machine ${registration.id}: another host (${holder.publicIp}) is alive with the same machine-id. ` +
        "Give this host an id of its own: remove /etc/machine-id, run systemd-machine-id-setup, restart flt",
    );
  }

  /** A record that cannot be read names no holder: it may be written over. */
  #readMachine(id: MachineId, bytes: Uint8Array): MachineRegistration | null {
    try {
      return decodeMachine(id, bytes);
    } catch (error) {
      if (error instanceof NewerFormatError) throw error;
      this.#log.error("Wrote over a registration that cannot be read", { machine: id, reason: reasonOf(error) });
      return null;
    }
  }

  /** Best effort: a lease that stays behind ends by itself and holds nothing. */
  async #dropLease(lease: LeaseId): Promise<void> {
    try {
      await this.#kv.leaseRevoke(lease);
    } catch (error) {
      this.#log.debug("Left an unused lease to run out", { lease, reason: reasonOf(error) });
    }
  }
}

class KvMachineSession implements MachineSession {
  readonly ttlMs: number;
  readonly inherited: readonly string[];
  readonly #kv: Kv;
  readonly #keys: Keys;
  readonly #machineId: MachineId;
  readonly #lease: LeaseId;

  constructor(kv: Kv, keys: Keys, machineId: MachineId, lease: Lease, inherited: readonly string[]) {
    this.#kv = kv;
    this.#keys = keys;
    this.#machineId = machineId;
    this.#lease = lease.id;
    this.ttlMs = lease.ttlMs;
    this.inherited = inherited;
  }

  async heartbeat(options?: CallOptions): Promise<void> {
    await this.#kv.leaseKeepAlive(this.#lease, options);
  }

  async publish(reports: readonly UnitReport[], gone: readonly string[], options?: CallOptions): Promise<void> {
    const ops = [
      ...reports.map((report) =>
        put(this.#keys.state(this.#machineId, report.name), encodeReport(report), this.#lease),
      ),
      ...gone.map((name) => remove({ key: this.#keys.state(this.#machineId, name) })),
    ];
    for (let first = 0; first < ops.length; first += MAX_TXN_OPERATIONS) {
      const success = ops.slice(first, first + MAX_TXN_OPERATIONS);
      const answer = await this.#kv.txn({ compare: [this.#isMine()], success, failure: [] }, options);
      if (!answer.succeeded) throw this.#over();
    }
  }

  async leave(options?: CallOptions): Promise<void> {
    const farewell = {
      compare: [this.#isMine()],
      success: [remove({ key: this.#keys.machine(this.#machineId) }), remove(this.#keys.statesOf(this.#machineId))],
      refusal: () => this.#over(),
    };
    await leaveMachine(this.#kv, this.#keys, this.#machineId, farewell, options);
    await this.#kv.leaseRevoke(this.#lease, options);
  }

  #isMine() {
    return holdsLease(this.#keys.machine(this.#machineId), this.#lease);
  }

  #over(): KvError {
    return new KvError(
      "lease-not-found",
      `Cannot write for machine ${shortMachineId(this.#machineId)}: this session's registration is over`,
    );
  }
}

function rangeOf(answer: TxnResponse) {
  const [result] = answer.results;
  if (result?.op !== "range") throw new Error("Broken store: a range inside a transaction was not answered by a range");
  return result;
}
