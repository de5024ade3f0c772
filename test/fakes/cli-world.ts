/**
 * The command line on a fake machine, wired straight to a fake cluster's API: no sockets, no files, no time of its own.
 *
 * @module
 */
import {
  createFleetApi,
  type FleetApi,
  type FleetApiPorts,
  type MachineCalls,
  type MachineInspection,
} from "../../src/api/fleet/index.ts";
import { run } from "../../src/cli/run.ts";
import { type Ssh, type SshResult, type Tunnel, TunnelError, type TunnelPlan } from "../../src/cli/ssh/port.ts";
import type { Pager, Terminal } from "../../src/cli/terminal.ts";
import type { World } from "../../src/cli/world.ts";
import type { FetchInit } from "../../src/client/index.ts";
import { SILENT_LOG } from "../../src/lib/log.ts";
import { decodeText, encodeText } from "../../src/lib/text.ts";
import { FakeFleet } from "./fake-fleet.ts";
import { FakeInstallHost } from "./install-host.ts";
import { ManualClock } from "./manual-clock.ts";

export const M1 = "113f16a7000000000000000000000001";
export const M2 = "2222222200000000000000000000000a";

export interface Finished {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

/** One command under way: what it has said so far, and its end. */
export interface Running {
  readonly said: { out: string; err: string };
  readonly interrupt: () => void;
  readonly done: Promise<Finished>;
}

/** Notes what it was asked to do, and ends as the test wants. */
export class FakeSsh implements Ssh {
  readonly runs: string[][] = [];
  readonly tunnels: TunnelPlan[] = [];
  /** Tunnels that are open now. */
  open = 0;
  result: SshResult = { status: 0, isKeyRefused: false };

  async run(args: readonly string[]): Promise<SshResult> {
    this.runs.push([...args]);
    return this.result;
  }

  async openTunnel(plan: TunnelPlan): Promise<Tunnel> {
    this.tunnels.push(plan);
    if (this.result.status !== 0) throw new TunnelError(`Cannot open the tunnel to "${plan.host}"`, this.result);
    this.open += 1;
    return {
      socketPath: "/tmp/tunnel.sock",
      proxyOptions: ["-o", "ProxyCommand=through"],
      close: async () => {
        this.open -= 1;
      },
    };
  }
}

/** None at first; the test says what of it is one. */
export class FakeTerminal implements Terminal {
  stdin = false;
  stdout = false;
  stderr = false;
  columns = 80;
  rows = 24;
  /** Programs that there are. */
  pagers: string[] = ["less"];
  /** Those that were started, with their environment and what they were given. */
  readonly shown: { command: readonly string[]; environment: Readonly<Record<string, string>>; text: string }[] = [];
  /** Leaves the pager that is open. */
  leave: () => void = () => {};
  /** Types a key. */
  type: (key: string) => void = () => {};
  isReading = false;

  size(): { columns: number; rows: number } {
    return { columns: this.columns, rows: this.rows };
  }

  startPager(command: readonly string[], environment: Readonly<Record<string, string>>): Pager | null {
    if (!this.pagers.includes(command[0] ?? "")) return null;
    const closed = new AbortController();
    const shown = { command, environment, text: "" };
    this.shown.push(shown);
    this.leave = () => closed.abort();
    return {
      closed: closed.signal,
      write: async (data) => {
        shown.text += typeof data === "string" ? data : decodeText(data);
      },
      end: async () => closed.abort(),
    };
  }

  readKeys(onKey: (key: string) => void, signal: AbortSignal): void {
    this.type = onKey;
    this.isReading = true;
    signal.addEventListener("abort", () => {
      this.isReading = false;
    });
  }
}

export class CliWorld {
  readonly fleet = new FakeFleet();
  readonly clock = new ManualClock();
  stdin = "";
  readonly files = new Map<string, string>();
  readonly requests: string[] = [];
  readonly folders: string[] = [];
  readonly forwarded: string[] = [];
  readonly installHost = new FakeInstallHost();
  readonly ssh = new FakeSsh();
  readonly terminal = new FakeTerminal();
  environment: Record<string, string> = { HOME: "/home/me" };
  /** Unix sockets of the requests so far. */
  readonly sockets: string[] = [];
  /** Answers instead of the API, where it is not null. */
  answer: (path: string) => Response | null = () => null;
  /** What a machine's agent says of its units' usage. */
  usage: MachineInspection["usage"] = async function* () {};
  /** What is wrong with the cluster's data. */
  alarms: readonly string[] = [];
  /** What fetch rejects with, while set. */
  connectionError: Error | null = null;
  /** Cuts all streams that are open. */
  #cuts = new Set<AbortController>();
  readonly #api: FleetApi;

  constructor(changes: Partial<FleetApiPorts> = {}) {
    this.fleet.addMachine(M1, "172.17.8.103", { region: "eu", disk: "ssd" });
    this.fleet.addMachine(M2, "172.17.8.104");
    const text = async function* (words: string): AsyncGenerator<Uint8Array> {
      yield encodeText(words);
    };
    const machineCalls: MachineCalls = {
      unitStatus: (machineId, unit) => text(`status of ${unit} on ${machineId.slice(0, 4)}\n`),
      unitJournal: (machineId, unit, request) =>
        text(`journal of ${unit} on ${machineId.slice(0, 4)} ${JSON.stringify(request)}\n`),
    };
    const inspection: MachineInspection = {
      unitProperties: (machineId, unit, properties) => {
        const all = { Id: unit, ActiveState: "active", MainPID: machineId.slice(0, 3), Environment: "A=1\nsecond" };
        const wanted = Object.entries(all).filter(([name]) => properties.length === 0 || properties.includes(name));
        return text(wanted.map(([name, value]) => `${name}=${value}\n`).join(""));
      },
      unitDependencies: (machineId, unit, request) =>
        text(`${unit}\n● └─on-${machineId.slice(0, 4)}.target\n${JSON.stringify(request)}\n`),
      usage: (machineId, request, signal) => this.usage(machineId, request, signal),
    };
    this.#api = createFleetApi({
      alarms: () => this.alarms,
      view: this.fleet,
      units: this.fleet,
      machines: this.fleet,
      machineCalls,
      inspection,
      ready: () => true,
      tokenLimit: 3,
      version: "0.1.0",
      machineId: M1,
      log: SILENT_LOG,
      clock: this.clock,
      ...changes,
    });
  }

  cutStreams(): void {
    for (const cut of this.#cuts) cut.abort();
    this.#cuts.clear();
  }

  start(argv: readonly string[], program = "flt"): Running {
    const said = { out: "", err: "" };
    const interrupt = new AbortController();
    const world: World = {
      environment: this.environment,
      fetch: (url, init) => this.#fetch(url, init),
      clock: this.clock,
      wallClock: () => new Date(2026, 0, 31, 12, 30, Math.floor(this.clock.now() / 1_000)),
      signal: interrupt.signal,
      out: (text) => {
        said.out += text;
      },
      outBytes: async (bytes) => {
        said.out += decodeText(bytes);
      },
      err: (text) => {
        said.err += text;
      },
      readFile: (path) => {
        const text = this.files.get(path);
        return text === undefined ? null : encodeText(text);
      },
      readStdin: async () => encodeText(this.stdin),
      exists: (path) => this.files.has(path),
      makeFolder: (path) => void this.folders.push(path),
      installHost: async () => this.installHost,
      terminal: this.terminal,
      ssh: this.ssh,
      forward: async (path) => void this.forwarded.push(path),
    };
    const done = run(argv, program, world).then((status) => ({ status, ...said }));
    return { said, interrupt: () => interrupt.abort(), done };
  }

  async run(...argv: string[]): Promise<Finished> {
    return await this.start(argv).done;
  }

  async #fetch(url: string, init: FetchInit): Promise<Response> {
    if (this.connectionError !== null) throw this.connectionError;
    const { pathname, search } = new URL(url);
    this.requests.push(`${init.method} ${pathname}${search}`);
    this.sockets.push(init.unix ?? "");
    const instead = this.answer(pathname);
    if (instead !== null) return instead;
    const cut = new AbortController();
    this.#cuts.add(cut);
    const signal = AbortSignal.any([init.signal, cut.signal]);
    const request = new Request(url, {
      method: init.method,
      headers: init.headers,
      ...(init.body === undefined ? {} : { body: init.body }),
    });
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => reject(new Error("The operation was aborted")), { once: true });
    });
    aborted.catch(() => {});
    return await Promise.race([this.#api(request, { signal }), aborted]);
  }
}
