/**
 * N hosts on one bridge, with flt on each: made for a test, removed after it whatever happens.
 *
 * Invariants.
 * - `remove` leaves nothing: no process, namespace, control group or file. It may be called twice.
 * - SIGINT, SIGTERM and SIGHUP remove every cluster of this process before it ends. After SIGKILL the next run does.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { Host } from "./host.ts";
import { Image } from "./image.ts";
import { gatewayOf, HostNetwork } from "./network.ts";
import { eventually } from "./wait.ts";
import { removeLeftovers, removeTag, Workspace } from "./workspace.ts";

export const FLT_BINARY = `${import.meta.dir}/../../../dist/flt`;
const PEER_PORT = 2380;
const READY_MS = 30_000;

export interface ClusterOptions {
  readonly hosts: number;
  /** false: plain systemd hosts. "installed": flt.service is there, but not started at boot. */
  readonly flt?: boolean | "installed";
  /** Further lines of flt.conf, for every host or by its name: `{ h1: { metadata: "disk=ssd" } }`. */
  readonly config?: Readonly<Record<string, string>>;
  readonly configOf?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** /usr and dpkg's list of packages can be written to: an overlay of the host's own. */
  readonly canInstall?: boolean;
  /** Of the hosts in their order, all in one /24: where the documentation names some. */
  readonly addresses?: readonly string[];
  /** How much of one processor each host has; default: as much as there is. */
  readonly cpuPercent?: number;
  /** Why this suite cannot run here, when it needs more than hosts do: its tests are skipped. */
  readonly missing?: string | undefined;
  /** Machine ids by host name, where a test wants two alike. */
  readonly machineIds?: Readonly<Record<string, string>>;
}

const living = new Set<Cluster>();
let handlesSignals = false;

function removeAllOnSignals(): void {
  if (handlesSignals) {
    return;
  }
  handlesSignals = true;
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(name, () => {
      const all = [...living].map((cluster) => cluster.remove());
      void Promise.allSettled(all).then(() => process.exit(130));
    });
  }
}

function confOf(options: ClusterOptions, name: string, addresses: readonly string[]): string {
  const peers = addresses.map((address) => `${address}:${PEER_PORT}`).join(",");
  const own = addresses[Number(name.slice(1)) - 1] ?? "";
  const base = addresses.length > 1 ? { initial_cluster: peers, advertise_peer: `${own}:${PEER_PORT}` } : {};
  const all = { ...base, ...options.config, ...options.configOf?.[name] };
  return Object.entries(all)
    .map(([key, value]) => `${key}=${value}\n`)
    .join("");
}

export class Cluster {
  readonly hosts: readonly Host[];
  readonly tag: string;
  readonly network: HostNetwork;
  readonly #workspace: Workspace;
  #removed = false;

  private constructor(workspace: Workspace, network: HostNetwork, hosts: readonly Host[]) {
    this.#workspace = workspace;
    this.tag = workspace.tag;
    this.network = network;
    this.hosts = hosts;
  }

  /** Boots the hosts, all at once. With flt enabled, waits until each daemon says that it is ready. */
  static async boot(options: ClusterOptions): Promise<Cluster> {
    await removeLeftovers();
    const workspace = await Workspace.create();
    try {
      const cluster = await Cluster.#make(workspace, options);
      living.add(cluster);
      removeAllOnSignals();
      await cluster.#start(options);
      return cluster;
    } catch (error) {
      await removeTag(workspace.tag);
      throw error;
    }
  }

  static async #make(workspace: Workspace, options: ClusterOptions): Promise<Cluster> {
    const names = Array.from({ length: options.hosts }, (_, index) => `h${index + 1}`);
    const addresses = names.map((_, index) => options.addresses?.[index] ?? `10.77.0.${11 + index}`);
    const network = await HostNetwork.create(workspace.tag, gatewayOf(addresses[0] ?? ""));
    const binary = `${workspace.directory}/flt`;
    // A copy: a build during the run must not change what the hosts run.
    if (options.flt !== false) await copyFile(FLT_BINARY, binary);
    const hosts: Host[] = [];
    for (const [index, name] of names.entries()) {
      const machineId = options.machineIds?.[name] ?? `${index + 1}`.repeat(8) + `${index + 1}f17`.padStart(24, "0");
      const image = await Image.create(`${workspace.directory}/${name}`, {
        machineId,
        fltConf: options.flt === false ? undefined : confOf(options, name, addresses),
        enabled: options.flt !== "installed",
        binary,
        canInstall: options.canInstall === true,
      });
      const identity = { name, address: addresses[index] ?? "", machineId, cpuPercent: options.cpuPercent };
      hosts.push(new Host(identity, workspace, network, image));
    }
    return new Cluster(workspace, network, hosts);
  }

  async #start(options: ClusterOptions): Promise<void> {
    const boots = await Promise.allSettled(this.hosts.map((host) => host.powerOn()));
    const failed = boots.find((boot) => boot.status === "rejected");
    if (failed !== undefined) {
      await this.remove();
      throw failed.reason;
    }
    if (options.flt !== false && options.flt !== "installed") {
      try {
        await Promise.all(this.hosts.map((host) => this.ready(host)));
      } catch (error) {
        await this.report();
        await this.remove();
        throw error;
      }
    }
  }

  /** The host of this name: "h1" … */
  host(name: string): Host {
    const found = this.hosts.find((host) => host.name === name);
    if (found === undefined) {
      throw new Error(`Find host "${name}": the cluster has ${this.hosts.map((host) => host.name).join(", ")}`);
    }
    return found;
  }

  hostOfMachine(machineId: string): Host {
    const found = this.hosts.find((host) => host.machineId === machineId);
    if (found === undefined) {
      throw new Error(`Find the host of machine "${machineId}": none has this id`);
    }
    return found;
  }

  others(host: Host): Host[] {
    return this.hosts.filter((other) => other !== host);
  }

  /** Resolves when the daemon has told systemd that it is ready. */
  async ready(host: Host, timeoutMs = READY_MS): Promise<void> {
    await eventually(`flt.service on ${host.name}`, timeoutMs, async () => {
      return (await host.run(["systemctl", "is-active", "flt.service"])).stdout === "active\n";
    });
  }

  /** Prints the daemons' journals: what a failed test leaves behind for its reader. */
  async report(): Promise<void> {
    for (const host of this.hosts) {
      const state = host.isOn ? "" : " (off)";
      console.error(`--- flt.service on ${host.name}${state} ---\n${await host.journal()}`);
    }
  }

  /** Leaves it running when this process ends. */
  async keep(): Promise<void> {
    living.delete(this);
    await this.#workspace.keep();
  }

  async remove(): Promise<void> {
    if (this.#removed) {
      return;
    }
    this.#removed = true;
    await Promise.allSettled(this.hosts.map((host) => (host.isOn ? host.powerOff() : undefined)));
    for (const host of this.hosts) {
      host.killNow();
    }
    await this.network.remove();
    await removeTag(this.tag);
    living.delete(this);
  }
}

/** Why no host can be booted here; undefined when one can. */
export function missingForHosts(): string | undefined {
  if (process.getuid?.() !== 0) {
    return "it needs root";
  }
  const needed = [
    "/usr/bin/systemd-nspawn",
    "/lib/systemd/systemd",
    "/usr/bin/dbus-daemon",
    "/usr/sbin/nft",
    "/usr/bin/nsenter",
  ];
  const missing = needed.filter((path) => !existsSync(path));
  return missing.length === 0 ? undefined : `missing: ${missing.join(", ")}; run scripts/setup`;
}
