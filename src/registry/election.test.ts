/**
 * Election by lease: one holder, a successor at once after a resignation and within the lease's time after a death, and a
 * holder that stops before the store can give its place away.
 *
 * @module
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { settle } from "../../test/fakes/manual-clock.ts";
import { machineId, RegistryWorld } from "../../test/fakes/registry-world.ts";
import { type Log, SILENT_LOG } from "../lib/log.ts";
import { type Kv, KvError } from "../store/kv.ts";
import { ELECTION_DEFAULTS, winElection } from "./election.ts";
import type { EngineTerm } from "./index.ts";
import { put } from "./operations.ts";
import { encodeLeader } from "./records.ts";

const { ttlMs, marginMs } = ELECTION_DEFAULTS;

let world: RegistryWorld;
const log: string[] = [];
beforeEach(async () => {
  world = await new RegistryWorld().start();
  log.length = 0;
});
afterEach(() => world.stop());

type Call = "range" | "txn" | "leaseGrant" | "leaseRevoke" | "leaseKeepAlive";

/** A daemon that seeks the office; its way to the store can be cut, or made to lie about one call's fate. */
class Candidate {
  readonly #id: number;
  /** Its data directory's. */
  identity: string;
  readonly giveUp = new AbortController();
  isCut = false;
  /** Done, but nobody hears of it. */
  losesAnswerOf: Call | null = null;
  term: EngineTerm | null = null;
  lost: string[] = [];
  outcome = "waits";

  constructor(id: number) {
    this.#id = id;
    this.identity = `identity-${id}`;
  }

  async run(): Promise<void> {
    const note = (message: string) => void log.push(message);
    const noted: Log = { ...SILENT_LOG, info: note, notice: note, warning: note };
    const { keys, view, clock } = world;
    const options = {
      kv: this.#kv(),
      keys,
      view,
      machineId: machineId(this.#id),
      identity: this.identity,
      clock,
      log: noted,
    };
    const onLost = (why: string) => void this.lost.push(why);
    winElection(options, { signal: this.giveUp.signal, onLost }).then(
      (term) => {
        this.term = term;
        this.outcome = "leads";
      },
      (error: unknown) => {
        this.outcome = error instanceof KvError ? error.code : String(error);
      },
    );
    await settle();
  }

  #kv(): Kv {
    return new Proxy(world.kv, {
      get: (target, property) => {
        const value: unknown = Reflect.get(target, property);
        if (typeof value !== "function") return value;
        return (...words: unknown[]): unknown => {
          if (this.isCut) return Promise.reject(new KvError("unavailable", "the way to the store is cut"));
          const result: unknown = value.apply(target, words);
          if (property !== this.losesAnswerOf) return result;
          this.losesAnswerOf = null;
          return Promise.reject(new KvError("unknown-fate", "no answer came"));
        };
      },
    });
  }
}

async function candidate(id: number, setting: Partial<Candidate> = {}): Promise<Candidate> {
  const one = Object.assign(new Candidate(id), setting);
  await one.run();
  return one;
}

function holder(): Promise<string | undefined> {
  return world.dump().then((all) => /"machineId":"0*(\d)/.exec(all.leader ?? "")?.[1]);
}

describe("winElection()", () => {
  test("a vacant office is taken at once, and kept for as long as its holder lives", async () => {
    const one = await candidate(1);
    expect([one.outcome, await holder()]).toEqual(["leads", "1"]);
    await world.clock.advance(60_000);
    expect([one.lost, await holder()]).toEqual([[], "1"]);
  });

  test("others wait, without a timer and without a lease; the first to hear of a resignation follows at once", async () => {
    const one = await candidate(1);
    const pending = world.clock.pending;
    const others = [await candidate(2), await candidate(3)];
    expect(others.map(({ outcome }) => outcome)).toEqual(["waits", "waits"]);
    expect([world.clock.pending, await world.local.leases()]).toEqual([pending, [expect.any(Number)]]);
    await one.term?.resign();
    await settle();
    expect(others.map(({ outcome }) => outcome).sort()).toEqual(["leads", "waits"]);
    expect((await world.local.leases()).length).toBe(1);
    expect(one.lost).toEqual([]);
    // Once per holder, for whoever looks at the log.
    expect(log.filter((line) => line.startsWith("The engine runs on machine 00000001"))).toHaveLength(2);
  });

  test("who has held the office before is refused by the store", async () => {
    const one = await candidate(1);
    const two = await candidate(2);
    await one.term?.resign();
    await settle();
    const write = new Map([["a.service", [{ machineId: "", reason: "none" }]]]);
    await expect(one.term?.session.explain(write)).rejects.toMatchObject({ code: "not-leader" });
    await two.term?.session.explain(write);
  });

  test("a daemon that was killed takes its own office over at once; its former self is refused", async () => {
    const former = await candidate(1);
    const other = await candidate(2);
    former.isCut = true;
    const present = await candidate(1);
    await settle();
    expect([present.outcome, other.outcome].sort()).toEqual(["leads", "waits"]);
    expect(await world.local.leases()).toHaveLength(1);
    former.isCut = false;
    const write = new Map([["a.service", [{ machineId: "", reason: "none" }]]]);
    await expect(former.term?.session.explain(write)).rejects.toMatchObject({ code: "not-leader" });
  });

  test("a second host with the same machine-id ends nobody's term: it waits like any other", async () => {
    const one = await candidate(1);
    for (let starts = 0; starts < 3; starts += 1) {
      const clone = await candidate(1, { identity: "identity-of-the-clone" });
      expect([clone.outcome, await holder()]).toEqual(["waits", "1"]);
      clone.giveUp.abort();
    }
    await world.clock.advance(30_000);
    expect([one.lost, await world.local.leases()]).toEqual([[], [expect.any(Number)]]);
  });

  test("a holder whose record names no identity, as an earlier release wrote it, is waited for until its lease is over", async () => {
    const lease = await world.local.leaseGrant({ ttlMs });
    const record = put(world.keys.leader, encodeLeader(machineId(1)), lease.id);
    await world.local.txn({ compare: [], success: [record], failure: [] });
    const one = await candidate(1);
    expect(one.outcome).toBe("waits");
    await world.clock.advance(ttlMs);
    expect(one.outcome).toBe("leads");
  });

  test("an office that could not be resigned while the store was away is not waited for", async () => {
    const one = await candidate(1);
    one.isCut = true;
    await one.term?.resign();
    one.isCut = false;
    await one.run();
    expect(one.outcome).toBe("leads");
  });

  test("a holder that dies is followed when its lease is over, and no earlier", async () => {
    const one = await candidate(1);
    const two = await candidate(2);
    one.isCut = true;
    await world.clock.advance(ttlMs - 1);
    expect([two.outcome, await holder()]).toEqual(["waits", "1"]);
    await world.clock.advance(1);
    expect([two.outcome, await holder()]).toEqual(["leads", "2"]);
  });

  test.each([0, 10_000])(
    "a holder that cannot renew after %d ms stops before its lease can be over",
    async (afterMs) => {
      const one = await candidate(1);
      await world.clock.advance(afterMs);
      one.isCut = true;
      await world.clock.advance(ttlMs - marginMs - 1);
      expect(one.lost).toEqual([]);
      await world.clock.advance(1);
      expect([one.lost, await holder()]).toEqual([["its lease could not be renewed in time"], "1"]);
      await one.term?.resign();
      await world.clock.advance(marginMs);
      expect(await holder()).toBeUndefined();
      expect(world.clock.pending).toBe(0);
    },
  );

  test("renewals that come back after a while are enough", async () => {
    const one = await candidate(1);
    one.isCut = true;
    await world.clock.advance(ttlMs - marginMs - 300);
    one.isCut = false;
    await world.clock.advance(30_000);
    expect(one.lost).toEqual([]);
  });

  test("a lease that somebody ended is noticed with the next renewal, and told once", async () => {
    const one = await candidate(1);
    for (const lease of await world.local.leases()) await world.local.leaseRevoke(lease);
    await world.clock.advance(ELECTION_DEFAULTS.beatMs);
    expect(one.lost).toEqual(["its lease is over"]);
    await world.clock.advance(30_000);
    expect(one.lost).toHaveLength(1);
  });

  test("after resign() nothing is told and nothing is left", async () => {
    const one = await candidate(1);
    await one.term?.resign();
    await world.clock.advance(30_000);
    expect([one.lost, world.clock.pending, await world.local.leases()]).toEqual([[], 0, []]);
  });

  test("who gives up leaves no watch and no timer, waiting for the office or for the store", async () => {
    await candidate(1);
    const pending = world.clock.pending;
    const watches = world.local.store.watchCount;
    const waiting = [await candidate(2), await candidate(3, { isCut: true })];
    for (const one of waiting) one.giveUp.abort();
    await settle();
    expect(waiting.map(({ outcome }) => outcome)).toEqual(["cancelled", "cancelled"]);
    expect([world.clock.pending, world.local.store.watchCount]).toEqual([pending, watches]);
  });

  test("a store that is away is waited for", async () => {
    const one = await candidate(1, { isCut: true });
    await world.clock.advance(120_000);
    expect(one.outcome).toBe("waits");
    one.isCut = false;
    await world.clock.advance(1_000);
    expect(one.outcome).toBe("leads");
  });

  for (const call of ["leaseGrant", "txn"] as const) {
    test(`a ${call} of unknown fate: sought again, and the key is there once`, async () => {
      const one = await candidate(1, { losesAnswerOf: call });
      await world.clock.advance(1_000);
      expect([one.outcome, await holder()]).toEqual(["leads", "1"]);
      await world.clock.advance(30_000);
      expect([one.lost, (await world.local.leases()).length]).toEqual([[], 1]);
    });
  }

  test("a key without a lease is an engine's on flt's own store: nobody takes it", async () => {
    await world.local.txn({ compare: [], success: [put(world.keys.leader, encodeLeader(machineId(7)))], failure: [] });
    const one = await candidate(1);
    await world.clock.advance(60_000);
    expect([one.outcome, await holder()]).toEqual(["waits", "7"]);
    expect(log).toEqual([expect.stringContaining("held by machine 00000007 without a lease")]);
    await world.local.txn({ compare: [], success: [{ op: "delete", key: world.keys.leader }], failure: [] });
    await settle();
    expect(one.outcome).toBe("leads");
  });
});
