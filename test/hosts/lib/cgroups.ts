/**
 * A control group for each host: where its systemd builds its own tree, and the handle by which a host is killed at once.
 *
 * Problem. systemd-nspawn with `--keep-unit` uses the group that it is started in; two hosts in one group would be two
 * masters of one tree. It reads its place in systemd's hierarchy and moves the host's PID 1 to the same path in the
 * unified one.
 * Idea. On a machine that systemd has booted a delegated scope is that group. Elsewhere (a container, a bare init) groups of the
 * same path are made in the unified hierarchy and, where there is one, in `name=systemd`.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { exec } from "./shell.ts";
import { eventually } from "./wait.ts";

/** True where PID 1 is systemd, sd_booted(3). */
export function isBootedWithSystemd(): boolean {
  return existsSync("/run/systemd/system");
}

interface Hierarchy {
  readonly unified: boolean;
  /** The directory of the group that this process is in. */
  readonly own: string;
}

/** The hierarchies that systemd cares about: the unified one and `name=systemd`. */
async function hierarchies(): Promise<Hierarchy[]> {
  const places = new Map<string, string>();
  for (const line of (await readFile("/proc/self/cgroup", "utf8")).trim().split("\n")) {
    const [, controllers = "", path = "/"] = line.match(/^\d+:([^:]*):(.*)$/) ?? [];
    places.set(controllers, path);
  }
  const found: Hierarchy[] = [];
  for (const line of (await readFile("/proc/self/mountinfo", "utf8")).trim().split("\n")) {
    const [before = "", after = ""] = line.split(" - ");
    const [, , , root = "/", mountPoint = ""] = before.split(" ");
    const unified = after.startsWith("cgroup2 ");
    const named = after.startsWith("cgroup ") && /\bname=systemd\b/.test(after);
    if (!unified && !named) {
      continue;
    }
    const path = places.get(unified ? "" : "name=systemd") ?? "/";
    const below = path.startsWith(root) ? path.slice(root.length) : path;
    found.push({ unified, own: `${mountPoint}/${below}`.replace(/\/+/g, "/").replace(/\/$/, "") });
  }
  return found;
}

async function removeTree(directory: string): Promise<void> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (entry.isDirectory()) {
      await removeTree(`${directory}/${entry.name}`);
    }
  }
  await rmdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") {
      throw error;
    }
  });
}

/** The hierarchy of the cpu controller, where it is one of its own (cgroup v1). */
const CPU_HIERARCHY = "/sys/fs/cgroup/cpu";
const CPU_PERIOD_US = 100_000;

/** Lets a group have no more than so much of one processor. */
async function limitCpu(directories: readonly string[], percent: number): Promise<void> {
  const quotaUs = Math.round((CPU_PERIOD_US * percent) / 100);
  for (const directory of directories) {
    if (existsSync(`${directory}/cpu.cfs_quota_us`))
      return await writeFile(`${directory}/cpu.cfs_quota_us`, `${quotaUs}`);
    if (existsSync(`${directory}/cpu.max`))
      return await writeFile(`${directory}/cpu.max`, `${quotaUs} ${CPU_PERIOD_US}`);
  }
  throw new Error("Limit a host's processor time: no control group here has the cpu controller");
}

export class HostCgroup {
  readonly #name: string;
  readonly #cpuPercent: number | undefined;
  /** Directories of the groups, the unified one first; empty where a scope does it. */
  readonly directories: readonly string[];

  private constructor(name: string, directories: readonly string[], cpuPercent: number | undefined) {
    this.#name = name;
    this.#cpuPercent = cpuPercent;
    this.directories = directories;
  }

  /**
   * @param name Unique on this machine; names the scope or the groups.
   * @param cpuPercent How much of one processor it may take at most.
   */
  static async create(name: string, cpuPercent?: number): Promise<HostCgroup> {
    if (isBootedWithSystemd()) {
      return new HostCgroup(name, [], cpuPercent);
    }
    const found = (await hierarchies()).sort((left, right) => Number(right.unified) - Number(left.unified));
    const directories = found.map((hierarchy) => `${hierarchy.own}/${name}`);
    if (cpuPercent !== undefined && existsSync(CPU_HIERARCHY)) directories.push(`${CPU_HIERARCHY}/${name}`);
    for (const directory of directories) {
      await mkdir(directory, { recursive: true });
    }
    if (cpuPercent !== undefined) await limitCpu(directories, cpuPercent);
    return new HostCgroup(name, directories, cpuPercent);
  }

  /** Wraps a command so that it runs in the group. */
  wrap(command: readonly string[]): string[] {
    if (this.directories.length === 0) {
      const scope = ["systemd-run", "--scope", "--quiet", "--collect", `--unit=${this.#name}`];
      const limit = this.#cpuPercent === undefined ? [] : [`--property=CPUQuota=${this.#cpuPercent}%`];
      return [...scope, "--property=Delegate=yes", ...limit, "--", ...command];
    }
    const enter = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@"';
    return ["/bin/sh", "-c", enter, "sh", ...this.directories, "--", ...command];
  }

  /** Kills every process of the group at once, as a power cut does. */
  async kill(): Promise<void> {
    const unified = this.directories[0];
    if (unified === undefined) {
      await exec(["systemctl", "kill", "--signal=SIGKILL", "--kill-whom=all", `${this.#name}.scope`]);
      return;
    }
    await killGroup(unified);
  }

  async remove(): Promise<void> {
    for (const directory of this.directories) {
      await removeGroup(directory);
    }
  }
}

/** cgroup.kill is there since Linux 5.14. */
async function killGroup(directory: string): Promise<void> {
  if (existsSync(`${directory}/cgroup.kill`)) {
    await writeFile(`${directory}/cgroup.kill`, "1");
  }
}

/** Kills what is left in a group and removes it; also used on the groups of a dead run. */
export async function removeGroup(directory: string): Promise<void> {
  if (!existsSync(directory)) {
    return;
  }
  await killGroup(directory);
  await eventually(`the removal of ${directory}`, 10_000, async () => {
    await removeTree(directory);
    return true;
  });
}
