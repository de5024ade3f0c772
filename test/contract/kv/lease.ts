/**
 * Kv contract: leases (etcd's API guide, "Lease API").
 *
 * @module
 */
import { expect, test } from "bun:test";
import { encodeText } from "../../../src/lib/text.ts";
import { expectRefused, type Room, takeBatches } from "./room.ts";

/** Long enough for any implementation's smallest lease. */
const TTL_MS = 4_000;

export function leaseContract(open: () => Room): void {
  test("a lease's keys go with it, in one revision", async () => {
    const room = open();
    const { id, ttlMs } = await room.kv.leaseGrant({ ttlMs: TTL_MS });
    expect(ttlMs).toBeGreaterThanOrEqual(TTL_MS);
    await room.put("b", "1", id);
    await room.put("a", "1", id);
    const last = await room.put("c", "1");
    const watch = room.kv.watch({ ...room.all(), startRevision: last + 1 });
    expect((await room.get("a"))?.lease).toBe(id);
    await room.kv.leaseRevoke(id);
    const batches = await takeBatches(watch, 2);
    expect(batches.map((batch) => [batch.revision, room.showEvents(batch.events)])).toEqual([[last + 1, "-a -b"]]);
    expect(room.show((await room.kv.range(room.all())).kvs)).toBe("c=1");
    watch.close();
    await expectRefused(room.kv.leaseRevoke(id), "lease-not-found");
    await expectRefused(room.put("d", "1", id), "lease-not-found");
    await expectRefused(room.kv.leaseKeepAlive(id), "lease-not-found");
  });

  test("a lease that is not kept alive ends by itself, one that is does not", async () => {
    const room = open();
    const left = await room.kv.leaseGrant({ ttlMs: TTL_MS });
    const kept = await room.kv.leaseGrant({ ttlMs: TTL_MS });
    await room.put("left", "1", left.id);
    await room.put("kept", "1", kept.id);
    await room.harness.advance(TTL_MS * 0.6);
    expect((await room.kv.leaseKeepAlive(kept.id)).ttlMs).toBe(TTL_MS);
    expect(room.show((await room.kv.range(room.all())).kvs)).toBe("kept=1 left=1");
    await room.harness.advance(TTL_MS * 0.6);
    expect(room.show((await room.kv.range(room.all())).kvs)).toBe("kept=1");
    await room.harness.advance(TTL_MS * 1.2);
    expect((await room.kv.range(room.all())).count).toBe(0);
    await expectRefused(room.kv.leaseKeepAlive(kept.id), "lease-not-found");
  });

  test("status tells the time left and the keys; a lease that is gone has -1", async () => {
    const room = open();
    const { id } = await room.kv.leaseGrant({ ttlMs: 10 * TTL_MS });
    await room.put("a", "1", id);
    await room.harness.advance(TTL_MS);
    const status = await room.kv.leaseStatus(id);
    expect(status).toMatchObject({ id, ttlMs: 10 * TTL_MS, keys: [room.key("a")] });
    expect(status.remainingMs).toBeLessThanOrEqual(9 * TTL_MS);
    expect(status.remainingMs).toBeGreaterThan(8 * TTL_MS);
    expect(await room.kv.leases()).toContain(id);
    await room.kv.leaseRevoke(id);
    expect((await room.kv.leaseStatus(id)).remainingMs).toBe(-1);
    expect(await room.kv.leases()).not.toContain(id);
  });

  test("a key hangs on the lease of its last put alone", async () => {
    const room = open();
    const one = await room.kv.leaseGrant({ ttlMs: 10 * TTL_MS });
    const two = await room.kv.leaseGrant({ ttlMs: 10 * TTL_MS });
    for (const name of ["moved", "freed", "deleted", "stays", "again"]) await room.put(name, "1", one.id);
    await room.put("moved", "2", two.id);
    await room.put("freed", "2");
    await room.delete("deleted");
    await room.delete("again");
    await room.put("again", "2");
    await room.write({ op: "put", key: room.key("stays"), value: encodeText("2"), ignoreLease: true });
    await room.kv.leaseRevoke(one.id);
    expect(room.show((await room.kv.range(room.all())).kvs)).toBe("again=2 freed=2 moved=2");
    await room.kv.leaseRevoke(two.id);
    expect(room.show((await room.kv.range(room.all())).kvs)).toBe("again=2 freed=2");
  });

  test("ids are the caller's or chosen, never shared", async () => {
    const room = open();
    const id = 770_000 + Number(room.prefix.replaceAll(/\D/g, ""));
    expect((await room.kv.leaseGrant({ ttlMs: TTL_MS, id })).id).toBe(id);
    await expectRefused(room.kv.leaseGrant({ ttlMs: TTL_MS, id }), "lease-exists");
    const chosen = await Promise.all([1, 2, 3].map(() => room.kv.leaseGrant({ ttlMs: TTL_MS })));
    expect(new Set(chosen.map((lease) => lease.id)).size).toBe(3);
    for (const lease of [...chosen, { id }]) await room.kv.leaseRevoke(lease.id);
  });

  test("a lease without keys ends without a revision; a time that is none is refused", async () => {
    const room = open();
    const before = await room.put("a", "1");
    const { id } = await room.kv.leaseGrant({ ttlMs: TTL_MS });
    await room.kv.leaseRevoke(id);
    expect(await room.revision()).toBe(before);
    await expectRefused(room.kv.leaseGrant({ ttlMs: 10_000_000_000_000 }), "lease-ttl-invalid");
    await expectRefused(room.kv.leaseGrant({ ttlMs: 0 }), "lease-ttl-invalid");
    await expectRefused(room.kv.leaseRevoke(123_456_789), "lease-not-found");
  });

  test("a compare can ask for the lease", async () => {
    const room = open();
    const { id } = await room.kv.leaseGrant({ ttlMs: TTL_MS });
    await room.put("a", "1", id);
    const compare = [{ key: room.key("a"), target: "lease", result: "=", value: id } as const];
    expect((await room.kv.txn({ compare, success: [], failure: [] })).succeeded).toBe(true);
    await room.kv.leaseRevoke(id);
  });
}
