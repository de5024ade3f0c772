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
import { powerLoss, recordedLife } from "../failpoints/power-loss.ts";
import { HAVE_STRACE } from "../failpoints/tracer.ts";
import { SeededRandom } from "../sim/random.ts";

const ROUNDS = 2;
const RUN_MS = 300_000;
const LIFE_STEPS = 60;
const POWER_LOSSES = 150;
const LIES = 40;
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

test.skipIf(!HAVE_STRACE)(
  "the power fails at any moment of a log's life: what it had promised is there; a disk that lies about its syncs is noticed",
  async () => {
    const random = new SeededRandom(1);
    const calls = recordedLife(1, LIFE_STEPS);
    for (let loss = 0; loss < POWER_LOSSES; loss++) {
      const moment = random.int(0, calls.length);
      expect({ moment, wrong: await powerLoss(calls, moment, random) }).toEqual({ moment, wrong: null });
    }
    for (const file of ["raft.db-wal", "raft.db", "snapshot"]) {
      const lied = calls.map((call) =>
        call.kind === "sync" && call.path.includes(file) ? { ...call, since: 0 } : call,
      );
      let noticed = 0;
      for (let loss = 0; loss < LIES && noticed === 0; loss++) {
        if ((await powerLoss(lied, random.int(0, calls.length), random)) !== null) noticed += 1;
      }
      expect({ file, noticed }).toEqual({ file, noticed: 1 });
    }
  },
  RUN_MS,
);
