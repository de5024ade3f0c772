/**
 * What a run leaves on the machine, under one tagged name, so that it can always be removed: by the run itself, by its
 * signal handler, or by the next run when this one was killed.
 *
 * Idea. `/var/tmp/flt-hosts/<tag>/` holds the hosts' files, a note of who owns them (process and its start time, since pids
 * come round again) and a list of control groups. Namespaces and scopes begin with the tag. A tag whose owner is dead
 * is a leftover; one that was kept on purpose is not, until it is removed by name.
 *
 * @module
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { appendFile, mkdir, rm, writeFile } from "node:fs/promises";
import { isBootedWithSystemd, removeGroup } from "./cgroups.ts";
import { exec } from "./shell.ts";

/** On a disk, not in memory: fsync must cost what it costs. */
const HOME = "/var/tmp/flt-hosts";

interface Owner {
  readonly pid: number;
  readonly startTime: string;
  readonly kept: boolean;
}

/** Field 22 of proc(5) stat: when the process began, in clock ticks since boot; undefined when it is gone. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}

export class Workspace {
  readonly tag: string;
  readonly directory: string;

  private constructor(tag: string) {
    this.tag = tag;
    this.directory = `${HOME}/${tag}`;
  }

  static async create(): Promise<Workspace> {
    const workspace = new Workspace(`flt${Math.random().toString(16).slice(2, 8).padEnd(6, "0")}`);
    await mkdir(workspace.directory, { recursive: true });
    await workspace.#own(false);
    return workspace;
  }

  /** Notes a control group before it is made. */
  async noteGroups(directories: readonly string[]): Promise<void> {
    await appendFile(`${this.directory}/groups`, directories.map((directory) => `${directory}\n`).join(""));
  }

  /** From now on it outlives this process; {@link removeTag} ends it. */
  async keep(): Promise<void> {
    await this.#own(true);
  }

  async #own(kept: boolean): Promise<void> {
    const owner: Owner = { pid: process.pid, startTime: startTimeOf(process.pid) ?? "", kept };
    await writeFile(`${this.directory}/owner.json`, JSON.stringify(owner));
  }
}

/** Kills and removes all that carries this tag. */
export async function removeTag(tag: string): Promise<void> {
  const directory = `${HOME}/${tag}`;
  if (isBootedWithSystemd()) {
    await exec(["systemctl", "kill", "--signal=SIGKILL", `${tag}-*.scope`]);
  }
  const groups = existsSync(`${directory}/groups`)
    ? readFileSync(`${directory}/groups`, "utf8").trim().split("\n")
    : [];
  for (const group of groups.filter((path) => path.endsWith("/") === false && path.includes(`/${tag}-`))) {
    await removeGroup(group);
  }
  for (const name of existsSync("/run/netns") ? readdirSync("/run/netns") : []) {
    if (name === tag || name.startsWith(`${tag}-`)) {
      await exec(["ip", "netns", "del", name]);
    }
  }
  await rm(directory, { recursive: true, force: true });
}

/** Tags on this machine, with whether their owner lives or kept them on purpose. */
export function listTags(): { readonly tag: string; readonly alive: boolean; readonly kept: boolean }[] {
  const tags = existsSync(HOME) ? readdirSync(HOME) : [];
  return tags.map((tag) => {
    try {
      const owner = JSON.parse(readFileSync(`${HOME}/${tag}/owner.json`, "utf8")) as Owner;
      return { tag, alive: startTimeOf(owner.pid) === owner.startTime, kept: owner.kept };
    } catch {
      // A run that is being made or removed right now has no note; a leftover without one is not ours to judge.
      return { tag, alive: true, kept: false };
    }
  });
}

/** Removes what dead runs left behind; touches nothing of a living or a kept one. */
export async function removeLeftovers(): Promise<string[]> {
  const dead = listTags().filter(({ alive, kept }) => !alive && !kept);
  for (const { tag } of dead) {
    await removeTag(tag);
  }
  return dead.map(({ tag }) => tag);
}
