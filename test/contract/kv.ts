/**
 * The Kv contract: what everything above the store may rely on, whatever stands behind the port.
 *
 * @module
 */
import { afterAll, beforeAll, describe } from "bun:test";
import { leaseContract } from "./kv/lease.ts";
import { rangeContract } from "./kv/range.ts";
import { type KvHarness, Room } from "./kv/room.ts";
import { txnContract } from "./kv/txn.ts";
import { watchContract } from "./kv/watch.ts";

export type { KvHarness } from "./kv/room.ts";

export function kvContract(name: string, start: () => Promise<KvHarness>): void {
  describe(`Kv contract: ${name}`, () => {
    let harness: KvHarness | undefined;
    beforeAll(async () => {
      harness = await start();
    });
    afterAll(async () => {
      await harness?.close();
    });
    const open = (): Room => {
      if (harness === undefined) throw new Error("The harness did not start");
      return new Room(harness);
    };
    describe("range", () => rangeContract(open));
    describe("txn", () => txnContract(open));
    describe("lease", () => leaseContract(open));
    describe("watch", () => watchContract(open));
  });
}
