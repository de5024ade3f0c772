/**
 * A share of the fuzzer in each test run, from a fresh seed; a failing case prints seed and path (`bun run fuzz` replays it).
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { checkRequest } from "./api.ts";
import { checkCore } from "./raft-core.ts";
import { TARGETS } from "./targets.ts";

const CASES = 3_000;

test("the shares are all there is", () => {
  expect(TARGETS.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
});

for (const target of TARGETS) {
  test(`no crash, no 500, no state changed by refused input: ${target.name}`, async () => {
    await target.run({ count: Math.ceil(CASES * target.share), seed: Date.now() % 0x7fff_ffff });
  }, 60_000);
}

describe("found by it", () => {
  const json = { contentType: "application/json" };

  test("deleting what can be no unit's name", async () => {
    await checkRequest({ method: "DELETE", target: "/fleet/v1/units/a%2Fb.service", ...json, body: null });
    const body = JSON.stringify({ units: [{ name: "a/b.service", delete: true }] });
    await checkRequest({ method: "POST", target: "/flt/v1/units:batch", ...json, body });
  });

  test("a term after which there is no other", () => {
    const term = Number.MAX_SAFE_INTEGER;
    const message = { kind: "pre-vote-reply", from: 2, to: 1, term, granted: false } as const;
    checkCore([{ kind: "message", message }, { kind: "campaign" }, { kind: "duty" }]);
  });
});
