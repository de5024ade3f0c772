/**
 * The compiled binary as it ships, and a disk that fails under it: strace kills the daemon at a system call on its log, or lets the call fail.
 *
 * Every write that was acknowledged is there afterwards, on each host; systemd starts the daemon again; no workload notices. What the
 * calls do to log and snapshots is looked at more closely, and on more of them, in failpoints.host.ts.
 * A point has two rounds; FLT_SYSCALL_ROUNDS=50 is the full run.
 *
 * @module
 */
import { expect } from "bun:test";
import { CALLS, type Call } from "../failpoints/tracer.ts";
import type { Cluster } from "./lib/cluster.ts";
import { allWorkloads, leaderOf, names, startSleepers, unitsOf, waitActive } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually, sleep } from "./lib/wait.ts";

const ROUNDS = Number(process.env.FLT_SYSCALL_ROUNDS ?? 2);
const ROUND_MS = 30_000;
const UNITS = names("worker", 6);
const LOG = "/var/lib/flt/raft.db-wal";
const DATABASE = "/var/lib/flt/raft.db";
const CALL_SECONDS = "15";
const OPTIONS = [{ section: "Service", name: "ExecStart", value: "/bin/true" }];

const acknowledged = new Set<string>();

/** Creates units through one host until it is told to stop. */
class Writer {
  readonly #host: Host;
  #running = true;
  readonly #done: Promise<void>;

  constructor(host: Host) {
    this.#host = host;
    this.#done = this.#run();
  }

  async end(): Promise<void> {
    this.#running = false;
    await this.#done;
  }

  async #run(): Promise<void> {
    while (this.#running) {
      const name = `write-${Bun.randomUUIDv7()}.service`;
      const isWritten = await put(this.#host, name);
      if (isWritten) acknowledged.add(name);
      await sleep(isWritten ? 5 : 100);
    }
  }
}

async function put(host: Host, name: string): Promise<boolean> {
  const body = { name, desiredState: "inactive", options: OPTIONS };
  const init = { method: "PUT", body, timeoutMs: 6_000 };
  const response = await host.api(`/fleet/v1/units/${name}`, init).catch(() => null);
  return response?.ok ?? false;
}

/** Resolves when strace is done with the daemon: it died, or the time is over. */
async function trace(host: Host, call: Call, path: string, effect: string, seconds = CALL_SECONDS): Promise<string> {
  const calls = CALLS[call].join(",");
  const pid = await host.mainPid("flt.service");
  const words = [
    "-f",
    "-qq",
    "-o",
    "/run/calls",
    "-P",
    path,
    "-e",
    `trace=${calls}`,
    "-e",
    `inject=${calls}:${effect}`,
  ];
  await host.run(["timeout", seconds, "strace", ...words, "-p", String(pid)], { timeoutMs: 30_000 });
  return await host.mustRun(["cat", "/run/calls"]);
}

/** What a process of the daemon said last. */
async function lastLine(host: Host, pid: number): Promise<string> {
  const said = await host.mustRun(["journalctl", "--no-pager", "-o", "cat", "-u", "flt.service", `_PID=${pid}`]);
  return said.trim().split("\n").at(-1) ?? "";
}

async function restarts(host: Host): Promise<number> {
  return Number(await host.property("flt.service", "NRestarts"));
}

async function everythingIsThere(cluster: Cluster, before: Record<string, string>): Promise<void> {
  for (const host of cluster.hosts) {
    await cluster.ready(host);
    const found = new Set(
      (await eventually(`a list from ${host.name}`, 10_000, () => unitsOf(host))).map((u) => u.name),
    );
    expect({ host: host.name, lost: [...acknowledged].filter((name) => !found.has(name)) }).toEqual({
      host: host.name,
      lost: [],
    });
  }
  await waitActive(cluster.host("h1"), UNITS);
  expect(await allWorkloads(cluster, "worker*")).toEqual(before);
}

/** Rounds with writers on every host; the leader and a follower take turns. */
async function rounds(cluster: Cluster, act: (host: Host, round: number) => Promise<void>): Promise<void> {
  const before = await allWorkloads(cluster, "worker*");
  for (let round = 0; round < ROUNDS; round++) {
    const leader = await leaderOf(cluster);
    const target = round % 2 === 0 ? leader : (cluster.others(leader)[0] as Host);
    const count = acknowledged.size;
    const writers = cluster.hosts.map((host) => new Writer(host));
    try {
      await act(target, round);
      await cluster.ready(target);
      await sleep(200);
    } finally {
      await Promise.all(writers.map((writer) => writer.end()));
    }
    expect(acknowledged.size).toBeGreaterThan(count);
    await everythingIsThere(cluster, before);
  }
}

hostSuite("a disk that fails under the daemon", { hosts: 3, config: { token_limit: "10000" } }, (suite) => {
  suite.case("units run", async (cluster) => {
    const leader = await leaderOf(cluster);
    await startSleepers(leader, UNITS);
    await waitActive(leader, UNITS);
  });

  for (const call of ["write", "sync"] as const) {
    suite.case(
      `killed at a ${call} of its log: started again, nothing lost`,
      async (cluster) => {
        await rounds(cluster, async (host, round) => {
          const count = await restarts(host);
          await trace(host, call, LOG, `signal=KILL:when=${1 + ((round * 7) % 23)}`);
          await eventually("the daemon's next life", 10_000, async () => (await restarts(host)) > count);
        });
      },
      ROUNDS * ROUND_MS,
    );

    suite.case(
      `a ${call} of its log fails: the daemon ends with the reason as its last line, is started again, nothing lost`,
      async (cluster) => {
        await rounds(cluster, async (host, round) => {
          const [count, pid] = [await restarts(host), await host.mainPid("flt.service")];
          await trace(host, call, LOG, `error=EIO:when=${1 + ((round * 5) % 17)}`);
          await eventually("the daemon's next life", 10_000, async () => (await restarts(host)) > count);
          expect(await lastLine(host, pid)).toStartWith(
            "Stopped, units stay as they are: Use the raft log: the disk failed (disk I/O error); look at",
          );
        });
      },
      ROUNDS * ROUND_MS,
    );
  }

  suite.case(
    "no room for its log for 2 s: writes go on elsewhere, nothing ends, and then it takes entries again",
    async (cluster) => {
      await rounds(cluster, async (host) => {
        const count = await restarts(host);
        const calls = await trace(host, "write", LOG, "error=ENOSPC:when=1+", "2");
        expect(calls).toContain("INJECTED");
        expect(await restarts(host)).toBe(count);
        await eventually(`a write through ${host.name}`, 10_000, () => put(host, "room-again.service"));
      });
    },
    ROUNDS * ROUND_MS,
  );

  suite.case(
    "killed as it folds its log into the database at an orderly stop: started again, nothing lost",
    async (cluster) => {
      await rounds(cluster, async (host, round) => {
        const [call, path] = [
          ["write", DATABASE],
          ["sync", DATABASE],
          ["truncate", DATABASE],
          ["unlink", LOG],
        ][round % 4] as [Call, string];
        const traced = trace(host, call, path, "signal=KILL:when=1");
        await sleep(500);
        await host.run(["systemctl", "restart", "flt.service"], { timeoutMs: 60_000 });
        expect(await traced).toContain("killed by SIGKILL");
      });
    },
    ROUNDS * ROUND_MS,
  );
});
