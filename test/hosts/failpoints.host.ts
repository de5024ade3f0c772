/**
 * The short run of the failpoints: the telling ones, two rounds each; `bun run test:failpoints` goes through all of them, 50 times.
 *
 * It needs no host, only a moment of a machine's own: processes on loopback, killed while they write.
 *
 * @module
 */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildMember } from "../failpoints/build.ts";
import { runPoints } from "../failpoints/lanes.ts";
import { POINTS } from "../failpoints/points.ts";

const ROUNDS = 2;
const RUN_MS = 300_000;
const folder = mkdtempSync(join(tmpdir(), "flt-failpoints-build-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test(
  "killed, or failed by its disk, at each point: what was promised is there, every start succeeds, keyspaces are equal",
  async () => {
    const points = POINTS.filter(({ isShort }) => isShort);
    const executable = await buildMember(folder);
    const outcomes = await runPoints(executable, points, { rounds: ROUNDS, clusters: 3, seed: 1, tell: () => {} });
    const wrong = outcomes.filter((one) => one.wrong.length > 0);
    expect(wrong.map((one) => [one.point.name, one.point.when, ...one.wrong])).toEqual([]);
    expect(outcomes.map(({ rounds }) => rounds)).toEqual(points.map(() => ROUNDS));
  },
  RUN_MS,
);
