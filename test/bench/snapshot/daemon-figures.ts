/**
 * What a daemon of the benchmark says of itself, and what changed between two looks: raft's term, its event loop's lag, its memory.
 *
 * @module
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import type { Host } from "../../hosts/lib/host.ts";

const MB = 1024 * 1024;
const LAG = "flt_event_loop_lag_seconds_bucket";
/** A heartbeat's interval: who was later than that has missed one. */
const LATE_SECONDS = "0.1";

/** One reading of a daemon's metrics. */
export class Figures {
  readonly #values: ReadonlyMap<string, number>;

  private constructor(values: ReadonlyMap<string, number>) {
    this.#values = values;
  }

  static async of(host: Host): Promise<Figures> {
    const text = await (await host.api("/metrics", { timeoutMs: 10_000 })).text();
    const rows = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return new Figures(
      new Map(
        rows.map((line) => {
          const at = line.lastIndexOf(" ");
          return [line.slice(0, at), Number(line.slice(at + 1))];
        }),
      ),
    );
  }

  get(name: string): number {
    return this.#values.get(name) ?? 0;
  }

  get cpuSeconds(): number {
    return ["user", "system"].reduce((sum, mode) => sum + this.get(`flt_process_cpu_seconds_total{mode="${mode}"}`), 0);
  }
  get residentMb(): number {
    return this.get("flt_process_resident_memory_bytes") / MB;
  }

  /** Turns of the loop that came later than a heartbeat's interval, and the bound of the latest, since then; null: since its start. */
  lagSince(before: Figures | null): { readonly late: number; readonly upToMs: number } {
    const bucket = (bound: string) => this.get(`${LAG}{le="${bound}"}`) - (before?.get(`${LAG}{le="${bound}"}`) ?? 0);
    const all = bucket("+Inf");
    const bounds = [...this.#values.keys()].flatMap(
      (key) => /le="([0-9.]+)"/.exec(key.startsWith(LAG) ? key : "")?.[1] ?? [],
    );
    const upTo = bounds.map(Number).filter((bound) => bucket(String(bound)) >= all);
    return { late: all - bucket(LATE_SECONDS), upToMs: Math.min(...upTo) * 1_000 };
  }
}

/** The most memory that the process ever had resident. */
export async function peakMb(host: Host): Promise<number> {
  const pid = await host.outerMainPid("flt.service");
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1]) / 1024;
}

/** Names and sizes of the snapshots on the host's disk; while there is one file only, the database names it. */
export function snapshotFiles(host: Host): { readonly name: string; readonly mb: number }[] {
  const directory = `${host.directory}/data`;
  const names = readdirSync(directory).filter((name) => name.includes(".snapshot-"));
  return names.flatMap((name) => {
    const file = statSync(`${directory}/${name}`, { throwIfNoEntry: false });
    return file === undefined ? [] : [{ name, mb: file.size / MB }];
  });
}
