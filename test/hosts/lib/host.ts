/**
 * One host: systemd as PID 1 in a container that looks like a machine, with levers for everything that can befall it.
 *
 * Idea. systemd-nspawn runs it in a control group and a network namespace of its own. Commands run in it by nsenter; its
 * API socket is reached through /proc, without any process in between. A power cut is silent: the bridge drops its frames
 * before its processes die, so that no peer hears a FIN of a kernel that would have died, too.
 *
 * @module
 */
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { HostCgroup } from "./cgroups.ts";
import type { Image } from "./image.ts";
import type { HostNetwork } from "./network.ts";
import { BARE_ENVIRONMENT, CommandError, type ExecOptions, exec, type Outcome, signal } from "./shell.ts";
import { eventually } from "./wait.ts";
import type { Workspace } from "./workspace.ts";

export interface HostIdentity {
  /** Host name and name of its port on the bridge: "h1". */
  readonly name: string;
  readonly address: string;
  readonly machineId: string;
  /** How much of one processor the host has; undefined: as much as there is. */
  readonly cpuPercent?: number | undefined;
}

const BOOT_MS = 30_000;
const SHUTDOWN_MS = 30_000;
const SOCKET = "/run/flt.sock";
/** systemd(1): halts and powers off. */
const SIGRTMIN_PLUS_4 = 34 + 4;

/** Pids of the children of a process, its threads' included. */
function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** The process's pid in the innermost namespace that it is in; undefined when it is gone. */
function innerPidOf(pid: number): number | undefined {
  try {
    return Number(/^NSpid:.*\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  } catch {
    return undefined;
  }
}

/** The descendant that is PID 1 of a namespace and runs systemd; undefined while there is none. */
function findInit(pid: number): number | undefined {
  for (const child of childrenOf(pid)) {
    try {
      const status = readFileSync(`/proc/${child}/status`, "utf8");
      if (/^Name:\tsystemd$/m.test(status) && /^NSpid:.*\t1$/m.test(status)) {
        return child;
      }
    } catch {
      continue;
    }
    const deeper = findInit(child);
    if (deeper !== undefined) {
      return deeper;
    }
  }
  return undefined;
}

export class Host {
  readonly name: string;
  readonly address: string;
  readonly machineId: string;
  readonly #cpuPercent: number | undefined;
  readonly #workspace: Workspace;
  readonly #network: HostNetwork;
  readonly #image: Image;
  #nspawn: Bun.Subprocess | undefined;
  #cgroup: HostCgroup | undefined;
  #init: number | undefined;

  constructor(identity: HostIdentity, workspace: Workspace, network: HostNetwork, image: Image) {
    this.name = identity.name;
    this.address = identity.address;
    this.machineId = identity.machineId;
    this.#cpuPercent = identity.cpuPercent;
    this.#workspace = workspace;
    this.#network = network;
    this.#image = image;
  }

  get isOn(): boolean {
    return this.#init !== undefined;
  }

  /** Pid of the host's systemd as the machine sees it: the door for nsenter. */
  get initPid(): number {
    return this.#alive();
  }

  /** Where the host's lasting files lie outside: data, flt (its /etc/flt), journal, systemd. */
  get directory(): string {
    return this.#image.directory;
  }

  /** A path inside the host as the test sees it. */
  path(inside: string): string {
    return `/proc/${this.#alive()}/root${inside}`;
  }

  /** Boots; resolves when its systemd has reached basic.target and the bus listens. flt may still be starting. */
  async powerOn(): Promise<void> {
    const unique = `${this.#workspace.tag}-${this.name}`;
    await this.#network.plug(this.name, this.address);
    await this.#network.heal(this.name);
    const cgroup = await HostCgroup.create(unique, this.#cpuPercent);
    this.#cgroup = cgroup;
    await this.#workspace.noteGroups(cgroup.directories);
    const console = openSync(`${this.directory}/console.log`, "a");
    const nspawn = Bun.spawn(cgroup.wrap(this.#command()), {
      env: { ...BARE_ENVIRONMENT, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: "1" },
      stdin: "ignore",
      stdout: console,
      stderr: console,
      detached: true,
    });
    closeSync(console);
    this.#nspawn = nspawn;
    this.#init = await eventually(`the boot of ${this.name}`, BOOT_MS, () => {
      if (nspawn.exitCode !== null) {
        throw new Error(`systemd-nspawn ended with ${nspawn.exitCode}\n${this.#consoleTail()}`);
      }
      return findInit(nspawn.pid);
    });
    await eventually(`basic.target of ${this.name}`, BOOT_MS, async () => {
      const { stdout, stderr } = await this.run(["systemctl", "is-active", "basic.target", "dbus.socket"]);
      if (stdout !== "active\nactive\n") {
        throw new Error(`${stdout}${stderr}${this.#consoleTail()}`);
      }
      return true;
    });
  }

  #command(): string[] {
    return [
      "systemd-nspawn",
      "--quiet",
      "--directory=/",
      "--volatile=yes",
      "--register=no",
      "--keep-unit",
      "--link-journal=no",
      "--resolv-conf=off",
      "--timezone=off",
      "--console=pipe",
      `--machine=${this.#workspace.tag}-${this.name}`,
      `--hostname=${this.name}`,
      `--network-namespace-path=/run/netns/${this.#network.namespaceOf(this.name)}`,
      ...this.#image.binds(),
      "--boot",
    ];
  }

  /** Takes the current away: silent for its peers, no process gets to say anything. What was written stays written. */
  async powerOff(): Promise<void> {
    await this.#network.cut(this.name);
    await this.#cgroup?.kill();
    await this.#gone();
  }

  /** Shuts down in order, as `poweroff` does. */
  async shutdown(): Promise<void> {
    // PID 1 of a container takes it as its own, see systemd(1).
    process.kill(this.#alive(), SIGRTMIN_PLUS_4);
    const nspawn = this.#nspawn;
    await eventually(`the shutdown of ${this.name}`, SHUTDOWN_MS, () => nspawn?.exitCode !== null);
    await this.#gone();
  }

  /** Cleans up after the host's processes; harmless when it is off. */
  async #gone(): Promise<void> {
    this.#init = undefined;
    if (this.#nspawn !== undefined) {
      await this.#nspawn.exited;
      this.#nspawn = undefined;
    }
    await this.#network.unplug(this.name);
    await this.#cgroup?.remove();
    this.#cgroup = undefined;
  }

  /** Runs a command inside; rejects when its deadline passes or the host is off. */
  run(command: readonly string[], options: ExecOptions = {}): Promise<Outcome> {
    return exec([...this.#enter(), ...command], options);
  }

  /** Runs a command inside and returns its stdout; rejects when it fails. */
  async mustRun(command: readonly string[], options: ExecOptions = {}): Promise<string> {
    const outcome = await this.run(command, options);
    if (outcome.code !== 0) {
      throw new CommandError([`${this.name}:`, ...command], outcome, `exit code ${outcome.code}`);
    }
    return outcome.stdout;
  }

  /** Starts a command inside whose output is read while it runs. The caller ends it with {@link Bun.Subprocess.kill}. */
  spawn(command: readonly string[]): Bun.Subprocess<"ignore", "pipe", "pipe"> {
    return Bun.spawn([...this.#enter(), ...command], {
      env: { ...BARE_ENVIRONMENT },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
  }

  /** The flt client inside the host. */
  flt(...words: string[]): Promise<Outcome> {
    return this.run(["flt", ...words]);
  }

  mustFlt(...words: string[]): Promise<string> {
    return this.mustRun(["flt", ...words]);
  }

  /** Asks the host's API over its unix socket. */
  api(path: string, init: { method?: string; body?: unknown; timeoutMs?: number } = {}): Promise<Response> {
    const body = init.body === undefined ? {} : { body: JSON.stringify(init.body) };
    return fetch(`http://flt${path}`, {
      unix: this.path(SOCKET),
      method: init.method ?? "GET",
      headers: { "content-type": "application/json" },
      signal: AbortSignal.timeout(init.timeoutMs ?? 10_000),
      ...body,
    });
  }

  /** Puts a file into the host, for the client to submit. */
  async write(inside: string, text: string): Promise<void> {
    await Bun.write(this.path(inside), text);
  }

  /** A property of a unit as systemd on this host tells it. */
  async property(unit: string, name: string): Promise<string> {
    return (await this.mustRun(["systemctl", "show", `--property=${name}`, "--value", unit])).trim();
  }

  /** Main pid of a unit inside the host; 0 when it runs nothing. */
  async mainPid(unit: string): Promise<number> {
    return Number(await this.property(unit, "MainPID"));
  }

  /** The same pid as the machine sees it, to send a signal at an exact moment; undefined when it runs nothing. */
  async outerMainPid(unit: string): Promise<number | undefined> {
    const inner = await this.mainPid(unit);
    return childrenOf(this.#alive()).find((pid) => innerPidOf(pid) === inner);
  }

  /** Kills the daemon without a word; its service's Restart= decides what comes after. */
  async killDaemon(): Promise<void> {
    await this.mustRun(["systemctl", "kill", "--signal=SIGKILL", "--kill-who=main", "flt.service"]);
  }

  /** Stops the daemon's process where it stands. systemd's watchdog aborts it when that lasts. */
  async pauseDaemon(): Promise<void> {
    await this.mustRun(["systemctl", "kill", "--signal=SIGSTOP", "--kill-who=main", "flt.service"]);
  }

  async resumeDaemon(): Promise<void> {
    await this.mustRun(["systemctl", "kill", "--signal=SIGCONT", "--kill-who=main", "flt.service"]);
  }

  /** The executable that it was made with. */
  get firstBinary(): string {
    return `${this.#workspace.directory}/flt`;
  }

  /** Replaces the executable; the daemon that runs is the old one until it is restarted. */
  install(binary: string): Promise<void> {
    return this.#image.install(binary);
  }

  cut(): Promise<void> {
    return this.#network.cut(this.name);
  }

  heal(): Promise<void> {
    return this.#network.heal(this.name);
  }

  /** The daemon's journal over all boots, readable when the host is off, too. */
  async journal(unit = "flt.service", lines = 200): Promise<string> {
    const directory = `${this.directory}/journal`;
    const command = ["journalctl", `--directory=${directory}`, "--no-pager", "-o", "short-precise", `--lines=${lines}`];
    const { stdout, stderr } = await exec([...command, `--unit=${unit}`]);
    return stdout === "" ? stderr : stdout;
  }

  #enter(): string[] {
    return ["nsenter", `--target=${this.#alive()}`, "--all", "--root", "--wd", "--"];
  }

  #alive(): number {
    if (this.#init === undefined) {
      throw new Error(`Use host ${this.name}: it is off`);
    }
    return this.#init;
  }

  #consoleTail(): string {
    const path = `${this.directory}/console.log`;
    return existsSync(path) ? readFileSync(path, "utf8").slice(-2000) : "";
  }

  /** Last resort of a signal handler that cannot wait. */
  killNow(): void {
    if (this.#nspawn !== undefined) {
      signal(this.#nspawn.pid, "SIGKILL");
    }
  }
}
