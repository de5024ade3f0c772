/**
 * A real etcd on a host, as a unit of it: what a fleet has had as its store.
 *
 * Idea. The server is Debian's, which scripts/setup unpacked, or the machine's own. It has one member: what matters here is how
 * its clients behave, also when it is stopped, paused, or away with its host.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { chmod } from "node:fs/promises";
import type { Host } from "./host.ts";
import { eventually } from "./wait.ts";

const UNPACKED = `${import.meta.dir}/../../../.tools/etcd`;
const HOME = "/run/etcd-of-test";
const DATA = `${HOME}/data`;
const UNIT = "etcd-of-test.service";
const CLIENT_PORT = 2379;

/** Why no etcd can be run here; undefined when one can. */
export function missingForEtcd(): string | undefined {
  return programPath("etcd") === undefined || programPath("etcdctl") === undefined
    ? "etcd is not there; run scripts/setup"
    : undefined;
}

/** Where the machine has the program; undefined: nowhere. */
export function programPath(name: string): string | undefined {
  return [`/usr/bin/${name}`, `${UNPACKED}/usr/bin/${name}`].find((path) => existsSync(path));
}

export class EtcdOnHost {
  readonly #host: Host;

  private constructor(host: Host) {
    this.#host = host;
  }

  /** Brings the programs into the host and starts an empty etcd there. */
  static async install(host: Host): Promise<EtcdOnHost> {
    await host.mustRun(["mkdir", "-p", HOME]);
    for (const name of ["etcd", "etcdctl"]) {
      const path = programPath(name);
      if (path === undefined) throw new Error(`Run ${name}: it is not there; run scripts/setup`);
      await Bun.write(host.path(`${HOME}/${name}`), Bun.file(path));
      await chmod(host.path(`${HOME}/${name}`), 0o755);
    }
    const etcd = new EtcdOnHost(host);
    await etcd.start();
    return etcd;
  }

  get url(): string {
    return `http://${this.#host.address}:${CLIENT_PORT}`;
  }

  /** With the data that it had; resolves when it serves. */
  async start(): Promise<void> {
    const flags = [
      `--data-dir=${DATA}`,
      `--listen-client-urls=${this.url}`,
      `--advertise-client-urls=${this.url}`,
      "--listen-peer-urls=http://127.0.0.1:2380",
    ];
    const command = ["systemd-run", `--unit=${UNIT}`, "--property=Type=notify", `${HOME}/etcd`, ...flags];
    await this.#host.mustRun(command, { timeoutMs: 30_000 });
    await eventually("etcd's health", 15_000, async () => (await this.#run("endpoint", "health")).code === 0);
  }

  /** In order: its clients see their connections end. */
  async stop(): Promise<void> {
    await this.#host.mustRun(["systemctl", "stop", UNIT], { timeoutMs: 30_000 });
  }

  /** While it is stopped: the next start finds nothing. */
  async setDataAside(): Promise<void> {
    await this.#host.mustRun(["mv", DATA, `${DATA}.aside`]);
  }

  async bringDataBack(): Promise<void> {
    await this.#host.mustRun(["rm", "-r", DATA]);
    await this.#host.mustRun(["mv", `${DATA}.aside`, DATA]);
  }

  /** Stops it where it stands: connections stay open, and nobody answers. */
  async pause(): Promise<void> {
    await this.#host.mustRun(["systemctl", "kill", "--signal=SIGSTOP", UNIT]);
  }

  async resume(): Promise<void> {
    await this.#host.mustRun(["systemctl", "kill", "--signal=SIGCONT", UNIT]);
  }

  /** etcdctl's stdout. */
  async ctl(...words: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.#run(...words);
    if (code !== 0) throw new Error(`Run etcdctl ${words.join(" ")}: exit code ${code}: ${stderr}`);
    return stdout;
  }

  #run(...words: string[]) {
    return this.#host.run(["env", "ETCDCTL_API=3", `${HOME}/etcdctl`, `--endpoints=${this.url}`, ...words]);
  }
}
