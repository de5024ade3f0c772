import { expect, test } from "bun:test";
import { ManualClock, settle } from "../../test/fakes/manual-clock.ts";
import { SILENT_LOG } from "../lib/log.ts";
import type { LeaseId } from "../store/kv.ts";
import { Store } from "../store/store.ts";
import { LeaseClock } from "./lease-clock.ts";

const STALL_MS = 1_000;

/** A leader's surroundings: confirmation and revocation answer when the test lets them. */
class Office {
  readonly clock = new ManualClock();
  readonly store = new Store();
  readonly revoked: LeaseId[][] = [];
  confirm: () => Promise<void> = () => Promise.resolve();
  revoke: () => Promise<void> = () => Promise.resolve();
  readonly leases = new LeaseClock(
    {
      clock: this.clock,
      log: SILENT_LOG,
      store: this.store,
      confirm: () => this.confirm(),
      revoke: async (ids) => {
        this.revoked.push([...ids]);
        await this.revoke();
        this.store.apply({ kind: "lease-revoke", ids });
      },
    },
    { stallMs: STALL_MS },
  );

  grant(id: LeaseId, ttlMs: number): void {
    this.store.apply({ kind: "lease-grant", id, ttlMs });
  }
  keepAlive(id: LeaseId, timeoutMs = 100) {
    return this.leases.keepAlive(id, { timeoutMs });
  }
  /** A process that was stopped: time passes and no timer fires; then all of them do. */
  async stall(ms: number): Promise<void> {
    await jump(this.clock, ms);
  }
}

/** ManualClock fires timers one by one at their time; a paused process finds them all late. */
async function jump(clock: ManualClock, ms: number): Promise<void> {
  const now = clock.now.bind(clock);
  const offset = ms;
  clock.now = () => now() + offset;
  await settle();
}

test("leases end when they are due, all due ones in one entry", async () => {
  const office = new Office();
  office.leases.lead();
  await settle();
  office.grant(1, 3_000);
  office.grant(2, 3_000);
  office.grant(3, 5_000);
  await office.clock.advance(2_900);
  await office.keepAlive(3);
  expect(office.revoked).toEqual([]);
  await office.clock.advance(200);
  expect(office.revoked).toEqual([[1, 2]]);
  await office.clock.advance(4_700);
  expect(office.revoked).toEqual([[1, 2]]);
  await office.clock.advance(200);
  expect(office.revoked).toEqual([[1, 2], [3]]);
});

test("nobody but a leader ends leases; a new leader gives each its full time", async () => {
  const office = new Office();
  office.grant(1, 3_000);
  await office.clock.advance(10_000);
  expect(office.revoked).toEqual([]);
  office.leases.lead();
  await office.clock.advance(2_500);
  office.leases.depose();
  await office.clock.advance(10_000);
  expect(office.revoked).toEqual([]);
  office.leases.lead();
  await office.clock.advance(2_900);
  expect(office.revoked).toEqual([]);
  await office.clock.advance(200);
  expect(office.revoked).toEqual([[1]]);
});

test("before a quorum confirmed it, a leader neither renews nor ends anything", async () => {
  const office = new Office();
  const confirmation = Promise.withResolvers<void>();
  office.confirm = () => confirmation.promise;
  office.grant(1, 3_000);
  office.leases.lead();
  const early = office.keepAlive(1, 500).catch((error: unknown) => error);
  await office.clock.advance(5_000);
  expect(await early).toMatchObject({ code: "unavailable" });
  const patient = office.keepAlive(1, 5_000);
  confirmation.resolve();
  expect((await patient).id).toBe(1);
  await office.clock.advance(2_900);
  expect(office.revoked).toEqual([]);
});

test("a deposed leader that does not know it yet promises nobody more time", async () => {
  const office = new Office();
  office.grant(1, 3_000);
  office.leases.lead();
  await settle();
  expect((await office.keepAlive(1)).id).toBe(1);
  // Nobody hears it any more; another one leads by now, and has begun to count.
  office.confirm = () => new Promise(() => {});
  const asked = office.keepAlive(1, 500).catch((error: unknown) => error);
  const remaining = office.leases.remainingMs(1, { timeoutMs: 500 }).catch((error: unknown) => error);
  await office.clock.advance(600);
  expect(await asked).toMatchObject({ code: "unavailable" });
  expect(await remaining).toMatchObject({ code: "unavailable" });
  office.confirm = () => Promise.reject(new Error("no quorum"));
  expect(await office.keepAlive(1).catch((error: unknown) => error)).toMatchObject({ code: "unavailable" });
});

test("a keep-alive counts from its arrival, and is not answered for a lease that ended while the quorum was asked", async () => {
  const office = new Office();
  office.grant(1, 3_000);
  office.leases.lead();
  await office.clock.advance(2_900);
  const confirmation = Promise.withResolvers<void>();
  office.confirm = () => confirmation.promise;
  const asked = office.keepAlive(1, 60_000).catch((error: unknown) => error);
  await office.clock.advance(2_900);
  expect(office.revoked).toEqual([]);
  await office.clock.advance(200);
  expect(office.revoked).toEqual([[1]]);
  confirmation.resolve();
  expect(await asked).toMatchObject({ code: "lease-not-found" });
});

test("a confirmation that fails is tried again while this member leads", async () => {
  const office = new Office();
  let tries = 0;
  office.confirm = () => (++tries < 3 ? Promise.reject(new Error("no quorum")) : Promise.resolve());
  office.leases.lead();
  await office.clock.advance(600);
  expect([tries, office.leases.active]).toEqual([3, true]);
});

test("who is deposed tells those who wait for it", async () => {
  const office = new Office();
  office.confirm = () => new Promise(() => {});
  office.grant(1, 3_000);
  office.leases.lead();
  const waiting = office.keepAlive(1, 60_000).catch((error: unknown) => error);
  office.leases.depose();
  await settle();
  expect(await waiting).toMatchObject({ code: "unavailable" });
  expect(office.clock.pending).toBe(0);
});

test("while a lease's end is in the log, no keep-alive is answered; its fate decides", async () => {
  const office = new Office();
  office.leases.lead();
  await settle();
  office.grant(1, 3_000);
  office.grant(2, 3_000);
  const fate = Promise.withResolvers<void>();
  office.revoke = () => fate.promise;
  await office.clock.advance(3_100);
  expect(office.revoked).toEqual([[1, 2]]);
  const asked = office.keepAlive(1, 60_000).catch((error: unknown) => error);
  fate.resolve();
  await settle();
  expect(await asked).toMatchObject({ code: "lease-not-found" });
});

test("a lease whose end was lost lives on: kept alive, or ended a little later", async () => {
  const office = new Office();
  office.leases.lead();
  await settle();
  office.grant(1, 3_000);
  office.grant(2, 3_000);
  let fail = true;
  office.revoke = () => (fail ? Promise.reject(new Error("lost")) : Promise.resolve());
  await office.clock.advance(3_050);
  fail = false;
  expect((await office.keepAlive(1)).id).toBe(1);
  await office.clock.advance(300);
  expect(office.revoked).toEqual([[1, 2], [2]]);
});

test("a process that was paused ends nothing in a burst: it confirms itself, and every lease gets its full time", async () => {
  const office = new Office();
  office.leases.lead();
  await settle();
  for (let id = 1; id <= 50; id++) office.grant(id, 4_000);
  await office.clock.advance(1_000);
  let confirmed = 0;
  office.confirm = async () => {
    confirmed++;
  };
  await office.stall(10_000);
  await office.clock.advance(3_000);
  expect([confirmed, office.revoked.length]).toEqual([1, 0]);
  for (let id = 1; id <= 49; id++) await office.keepAlive(id);
  await office.clock.advance(1_600);
  expect(office.revoked).toEqual([[50]]);
});

test("a keep-alive that is read before any timer after a pause is not answered on trust", async () => {
  const office = new Office();
  office.leases.lead();
  await settle();
  office.grant(1, 4_000);
  await office.clock.advance(600);
  office.confirm = () => new Promise(() => {});
  await office.stall(10_000);
  const asked = office.keepAlive(1, 200).catch((error: unknown) => error);
  await office.clock.advance(300);
  expect(await asked).toMatchObject({ code: "unavailable" });
});

test("a pause does not make a lease live on whose end is in the log already", async () => {
  const office = new Office();
  office.leases.lead();
  await settle();
  office.grant(1, 3_000);
  office.grant(2, 60_000);
  const fate = Promise.withResolvers<void>();
  office.revoke = () => fate.promise;
  await office.clock.advance(3_100);
  expect(office.revoked).toEqual([[1]]);
  await office.stall(10_000);
  const asked = office.keepAlive(1, 60_000).catch((error: unknown) => error);
  await office.clock.advance(1_000);
  expect(office.leases.active).toBe(true);
  fate.resolve();
  await settle();
  expect(await asked).toMatchObject({ code: "lease-not-found" });
  expect((await office.keepAlive(2)).id).toBe(2);
});

test("another term of office waits for no end that the last one wanted", async () => {
  const office = new Office();
  office.leases.lead();
  await settle();
  office.grant(1, 3_000);
  office.revoke = () => new Promise(() => {});
  await office.clock.advance(3_100);
  office.leases.depose();
  office.leases.lead();
  await settle();
  expect((await office.keepAlive(1)).id).toBe(1);
});

test("a pause is noticed also when the only lease's end was lost before", async () => {
  const office = new Office();
  office.leases.lead();
  await settle();
  office.grant(1, 3_000);
  const fate = Promise.withResolvers<void>();
  office.revoke = () => fate.promise;
  await office.clock.advance(3_600);
  fate.reject(new Error("lost"));
  await settle();
  await office.keepAlive(1);
  office.confirm = () => new Promise(() => {});
  await office.stall(10_000);
  await office.clock.advance(500);
  expect(office.revoked).toEqual([[1]]);
});

test("one timer and one beat, however many leases; none without leases", async () => {
  const office = new Office();
  office.leases.lead();
  await settle();
  expect(office.clock.pending).toBe(0);
  for (let id = 1; id <= 200; id++) office.grant(id, 3_000 + id);
  expect(office.clock.pending).toBe(2);
  for (let id = 1; id <= 200; id++) office.store.apply({ kind: "lease-revoke", ids: [id] });
  await office.clock.advance(600);
  expect(office.clock.pending).toBe(0);
});
