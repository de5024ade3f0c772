/**
 * A share of the fuzzer in each test run, from a fresh seed; a failing case prints seed and path (`bun run fuzz` replays it).
 *
 * @module
 */
import { expect, test } from "bun:test";
import { ApiUnderFire } from "./api.ts";
import { TARGETS } from "./targets.ts";

const CASES = 3_000;

test("the shares are all there is", () => {
  expect(TARGETS.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
});

for (const target of TARGETS) {
  test(`no crash, no 500, no state changed by refused input: ${target.name}`, async () => {
    await target.run({ count: Math.ceil(CASES * target.share) });
  }, 60_000);
}

test("found by it: deleting what can be no unit's name", async () => {
  const api = await ApiUnderFire.open();
  const json = { contentType: "application/json" };
  await api.check({ method: "DELETE", target: "/fleet/v1/units/a%2Fb.service", ...json, body: null });
  const body = JSON.stringify({ units: [{ name: "a/b.service", delete: true }] });
  await api.check({ method: "POST", target: "/flt/v1/units:batch", ...json, body });
  await api.close();
});
