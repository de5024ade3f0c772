/**
 * Two hundred operations a second on registers that three real daemons keep, while their leaders are killed, paused and cut off: what
 * the clients were told is linearizable, and no acknowledged write is lost.
 *
 * Idea. A register is a unit (linearizable/register.ts): it is read, written and removed through the API of any member, also of one that is cut off
 * from the others, and swapped through the peer port. When all is calm again each member's list of units is one more read of every register:
 * an acknowledged write that it lacks has no explanation. "Nothing was done" is taken at its word.
 * The run takes a minute; FLT_LINEARIZABLE_SECONDS=600 is the full one (`bun run test:linearizable`).
 *
 * @module
 */
import { expect } from "bun:test";
import type { Cluster } from "./lib/cluster.ts";
import { leaderOf, unitsOf } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { signal } from "./lib/shell.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually, sleep } from "./lib/wait.ts";
import { Clients, History } from "./linearizable/history.ts";
import { registerValue } from "./linearizable/register.ts";

const DURATION_MS = Number(process.env.FLT_LINEARIZABLE_SECONDS ?? 60) * 1_000;
const OPERATIONS_PER_SECOND = 200;
/** All that befalls the leader, in turn; the watchdog kills after 15 s. */
const FAULTS = ["killed", "paused", "cut"] as const;
const LASTS_MS = [2_000, 5_000, 3_000, 8_000, 4_000] as const;
/** Between the end of one fault and the next. */
const CALM_MS = 1_500;
const SETTLED_MS = 30_000;

type Fault = (typeof FAULTS)[number];

async function befall(fault: Fault, host: Host, lastsMs: number): Promise<void> {
  const pid = await host.outerMainPid("flt.service");
  if (pid === undefined) throw new Error(`A fault on ${host.name}: flt.service does not run there`);
  if (fault === "killed") {
    signal(pid, "SIGKILL");
    await eventually(`systemd on ${host.name} to notice`, SETTLED_MS, async () => {
      return (await host.outerMainPid("flt.service")) !== pid;
    });
  } else if (fault === "paused") {
    signal(pid, "SIGSTOP");
    await sleep(lastsMs);
    signal(pid, "SIGCONT");
  } else {
    await host.cut();
    await sleep(lastsMs);
    await host.heal();
  }
}

async function disturb(cluster: Cluster, endAt: number, counts: Record<Fault, number>): Promise<void> {
  for (let round = 0; ; round++) {
    const fault = FAULTS[round % FAULTS.length] as Fault;
    const lastsMs = LASTS_MS[round % LASTS_MS.length] as number;
    if (performance.now() + lastsMs + CALM_MS > endAt) return;
    await befall(fault, await leaderOf(cluster, undefined, SETTLED_MS), lastsMs);
    counts[fault]++;
    // One fault at a time: the pauses are those of a cluster that has its quorum.
    await Promise.all(cluster.hosts.map((other) => cluster.ready(other)));
    await sleep(CALM_MS);
  }
}

/** Reads every register through each member once more, one member after the other. */
async function readAll(cluster: Cluster, history: History): Promise<void> {
  // Later than any moment on the clients' clock: they have ended.
  let now = Number.MAX_SAFE_INTEGER / 2;
  for (const host of cluster.hosts) {
    const units = new Map((await unitsOf(host)).map((unit) => [unit.name, registerValue(unit)]));
    const [callAt, returnAt] = [++now, ++now];
    for (const key of history.keys) {
      history.note(key, { action: { kind: "read", found: units.get(key) ?? null }, callAt, returnAt });
    }
  }
}

function report(history: History, faults: Record<Fault, number>): void {
  const { done, undone, unknown } = history.counts;
  console.error(
    `${done + undone + unknown} operations on ${history.keys.length} registers: ${done} done, ${undone} refused with nothing done, ` +
      `${unknown} of unknown fate; leaders killed ${faults.killed}, paused ${faults.paused}, cut off ${faults.cut}; ` +
      `longest pause between two acknowledged changes ${Math.round(history.longestPauseMs)} ms; not done because`,
    Object.fromEntries([...history.reasons].sort(([, one], [, other]) => other - one).slice(0, 12)),
  );
}

hostSuite("a linearizable history", { hosts: 3, config: { token_limit: "1000" } }, (suite) => {
  suite.case(
    `${OPERATIONS_PER_SECOND} operations/s for ${DURATION_MS / 1000} s while leaders are killed, paused and cut off`,
    async (cluster) => {
      await leaderOf(cluster);
      const members = cluster.hosts.map((host) => {
        return { name: host.name, socket: host.path("/run/flt.sock"), peer: `${host.address}:2380` };
      });
      const history = new History();
      const clients = new Clients(cluster, { members, operationsPerSecond: OPERATIONS_PER_SECOND }, history);
      const faults = { killed: 0, paused: 0, cut: 0 };
      try {
        const endAt = performance.now() + DURATION_MS;
        await disturb(cluster, endAt, faults);
        await sleep(Math.max(0, endAt - performance.now()));
        await clients.end();
        await Promise.all(cluster.hosts.map((host) => cluster.ready(host)));
        await leaderOf(cluster);
        await readAll(cluster, history);
        for (const { key, operation } of history.verdict()) {
          const all = history.of(key).map((each) => JSON.stringify(each));
          throw new Error(
            `Explain ${key}: no order of its operations allows ${JSON.stringify(operation)}\n${all.join("\n")}`,
          );
        }
        // A history that is mostly refusals and doubts would prove little.
        expect(history.counts.done).toBeGreaterThan((DURATION_MS / 1000) * OPERATIONS_PER_SECOND * 0.5);
        for (const fault of FAULTS) expect(faults[fault]).toBeGreaterThan(0);
      } finally {
        report(history, faults);
        clients.kill();
        await Promise.all(cluster.hosts.map((host) => host.heal()));
      }
    },
    2 * DURATION_MS + 120_000,
  );
});
