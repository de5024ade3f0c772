/**
 * A hundred writes a second from three clients while leaders are killed every few seconds, and no write that
 * was acknowledged is lost.
 *
 * Idea. Every write has a name of its own and is never repeated: a unit is created, or one that was created is deleted. So
 * the end state tells the fate of each. An error leaves a write's fate open; both ends are then right.
 * The run takes 30 s; FLT_WRITES_SECONDS=120 is the full one (`bun run test:writes`).
 *
 * @module
 */
import { expect } from "bun:test";
import type { Cluster } from "./lib/cluster.ts";
import { leaderOf, unitsOf } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually, sleep } from "./lib/wait.ts";

const DURATION_MS = Number(process.env.FLT_WRITES_SECONDS ?? 30) * 1_000;
const WRITES_PER_SECOND = 100;
const KILL_EVERY_MS = 4_000;
/** fetch keeps at most 256 requests in flight in a process. */
const IN_FLIGHT_MAX = 80;
const TIMEOUT_MS = 6_000;
const OPTIONS = [{ section: "Service", name: "ExecStart", value: "/bin/true" }];

type Fate = "there" | "gone" | "either";

interface Tally {
  readonly fates: Map<string, Fate>;
  acknowledged: number;
  /** How often each reason left a write's fate open. */
  readonly open: Map<string, number>;
  /** Longest pause between two acknowledged writes of anybody. */
  longestGapMs: number;
  lastAt: number;
}

function acknowledge(tally: Tally): void {
  const now = performance.now();
  tally.longestGapMs = Math.max(tally.longestGapMs, now - tally.lastAt);
  tally.lastAt = now;
  tally.acknowledged++;
}

function leaveOpen(tally: Tally, reason: string): void {
  const kind = reason.replace(/w-h\d-\d+/g, "w-*").replace(/\d{4,}/g, "…");
  tally.open.set(kind, (tally.open.get(kind) ?? 0) + 1);
}

async function write(host: Host, name: string, method: "PUT" | "DELETE", tally: Tally): Promise<void> {
  tally.fates.set(name, "either");
  try {
    const body = method === "PUT" ? { body: { name, desiredState: "inactive", options: OPTIONS } } : {};
    const response = await host.api(`/fleet/v1/units/${name}`, { method, timeoutMs: TIMEOUT_MS, ...body });
    const answer = await response.text();
    if (response.ok) {
      tally.fates.set(name, method === "PUT" ? "there" : "gone");
      acknowledge(tally);
      return;
    }
    leaveOpen(tally, `${response.status} ${answer.slice(0, 120)}`);
  } catch (error) {
    // The daemon died in the middle, or is not there.
    leaveOpen(tally, error instanceof Error ? `${error.name} ${error.message}` : String(error));
  }
}

/** One client beside one host: writes at its rate, whatever becomes of the earlier ones. */
async function client(host: Host, endAt: number, tally: Tally): Promise<void> {
  const intervalMs = (1000 * 3) / WRITES_PER_SECOND;
  const flying = new Set<Promise<void>>();
  const created: string[] = [];
  let dueAt = performance.now();
  for (let sequence = 1; performance.now() < endAt; sequence++) {
    dueAt += intervalMs;
    await sleep(Math.max(0, dueAt - performance.now()));
    if (flying.size >= IN_FLIGHT_MAX) {
      await Promise.race(flying);
    }
    const victim = sequence % 4 === 0 ? created.shift() : undefined;
    const name = victim ?? `w-${host.name}-${sequence}.service`;
    const flight = write(host, name, victim === undefined ? "PUT" : "DELETE", tally).then(() => {
      flying.delete(flight);
      if (victim === undefined && tally.fates.get(name) === "there") {
        created.push(name);
      }
    });
    flying.add(flight);
  }
  await Promise.all(flying);
}

async function killLeaders(cluster: Cluster, endAt: number): Promise<number> {
  let kills = 0;
  while (performance.now() + KILL_EVERY_MS < endAt) {
    await sleep(KILL_EVERY_MS);
    const leader = await leaderOf(cluster);
    await leader.killDaemon();
    kills++;
  }
  return kills;
}

hostSuite("writes while leaders die", { hosts: 3, config: { token_limit: "1000" } }, (suite) => {
  suite.case(
    `${WRITES_PER_SECOND}/s for ${DURATION_MS / 1000} s: every acknowledged one is there`,
    async (cluster) => {
      await leaderOf(cluster);
      const tally: Tally = {
        fates: new Map(),
        acknowledged: 0,
        open: new Map(),
        longestGapMs: 0,
        lastAt: performance.now(),
      };
      const endAt = performance.now() + DURATION_MS;
      const clients = cluster.hosts.map((host) => client(host, endAt, tally));
      const kills = await killLeaders(cluster, endAt);
      await Promise.all(clients);
      await Promise.all(cluster.hosts.map((host) => cluster.ready(host)));
      await leaderOf(cluster);
      console.error(
        `${tally.acknowledged} acknowledged, ${tally.fates.size} names, ${kills} leaders killed, ` +
          `longest pause ${Math.round(tally.longestGapMs)} ms; left open:`,
        Object.fromEntries(tally.open),
      );

      for (const host of cluster.hosts) {
        const units = await eventually(`a list from ${host.name}`, 10_000, () => unitsOf(host));
        const found = new Set(units.map((unit) => unit.name));
        const lost = [...tally.fates].filter(([name, fate]) => fate === "there" && !found.has(name));
        const risen = [...tally.fates].filter(([name, fate]) => fate === "gone" && found.has(name));
        expect({ host: host.name, lost, risen }).toEqual({ host: host.name, lost: [], risen: [] });
        expect([...found].filter((name) => !tally.fates.has(name))).toEqual([]);
      }
      expect(kills).toBeGreaterThanOrEqual(Math.floor(DURATION_MS / KILL_EVERY_MS / 3));
      // A test of writes that were mostly refused would prove little.
      expect(tally.acknowledged).toBeGreaterThan((DURATION_MS / 1000) * WRITES_PER_SECOND * 0.4);
    },
    DURATION_MS + 90_000,
  );
});
