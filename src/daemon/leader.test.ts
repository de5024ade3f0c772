/** The leadership key names the last engine; whether that is the present one is for others to say. */
import { expect, test } from "bun:test";
import { currentLeader, type LeaderFacts } from "./leader.ts";

const [SELF, OTHER] = ["1".repeat(32), "2".repeat(32)];
const addresses: Readonly<Record<string, string>> = { [SELF]: "10.0.0.1:2380", [OTHER]: "10.0.0.2:2380" };

/** @param ledFrom The address of the store's leader; null: there is none. */
function leader(key: string | null, leads: boolean, ledFrom: string | null): string | null {
  const facts: LeaderFacts = {
    self: SELF,
    leads,
    view: { leader: key, address: (id) => addresses[id] },
    store: { mayBeLedBy: (address) => address === ledFrom },
  };
  return currentLeader(facts);
}

test("nobody ever was", () => {
  expect(leader(null, false, "10.0.0.1:2380")).toBeNull();
});

test("this machine: while its engine runs", () => {
  expect(leader(SELF, true, "10.0.0.1:2380")).toBe(SELF);
  expect(leader(SELF, false, "10.0.0.1:2380")).toBeNull();
});

test("another machine: while it may lead, not when it is the last one before an election, or before a new engine's key", () => {
  expect(leader(OTHER, false, "10.0.0.2:2380")).toBe(OTHER);
  expect(leader(OTHER, false, null)).toBeNull();
  expect(leader(OTHER, true, "10.0.0.1:2380")).toBeNull();
  expect(leader("3".repeat(32), false, "10.0.0.2:2380")).toBeNull();
});
