/**
 * A store full of large units, made through a daemon's API: inactive ones, so that nothing but the registry has them.
 *
 * Idea. Each version of a unit is a unit file of its own: writing it anew puts a file and takes the old one away, which is log, history and
 * work for the compaction. The API takes a mebibyte a request and lines of 2,048 bytes; a unit has as many lines as it needs.
 *
 * @module
 */
import type { Host } from "../../hosts/lib/host.ts";
import { eventually, sleep } from "../../hosts/lib/wait.ts";

const LINE_BYTES = 2_000;
const BATCH_BYTES = 900_000;
const IN_FLIGHT = 2;
const REQUEST_MS = 30_000;

export class LargeUnits {
  readonly count: number;
  readonly #unitBytes: number;
  #version = 0;
  #next = 0;

  constructor(count: number, unitBytes: number) {
    this.count = count;
    this.#unitBytes = unitBytes;
  }

  nameOf(index: number): string {
    return `large-${index}.service`;
  }

  /** A new version of the next `count` units, round and round. */
  async write(host: Host, count: number): Promise<void> {
    const batchUnits = Math.max(1, Math.floor(BATCH_BYTES / this.#unitBytes));
    let left = count;
    const worker = async () => {
      while (left > 0) {
        const size = Math.min(batchUnits, left);
        left -= size;
        await this.#put(host, size);
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  }

  /** So many bytes a second, until told to stop. @returns how many units were written. */
  async writeAt(host: Host, bytesPerSecond: number, isOver: () => boolean): Promise<number> {
    const begin = performance.now();
    let written = 0;
    while (!isOver()) {
      await this.#put(host, 1);
      written += 1;
      const dueAt = begin + (written * this.#unitBytes * 1_000) / bytesPerSecond;
      await sleep(Math.max(0, dueAt - performance.now()));
    }
    return written;
  }

  /** How long after this call the host answers a linearizable read of one of them. */
  async untilRead(host: Host, timeoutMs: number): Promise<void> {
    await eventually(`a linearizable read on ${host.name}`, timeoutMs, async () => {
      return (await host.api(`/fleet/v1/units/${this.nameOf(0)}`, { timeoutMs: 5_000 })).ok;
    });
  }

  async #put(host: Host, size: number): Promise<void> {
    const units = Array.from({ length: size }, () => this.#unit());
    const response = await host.api("/flt/v1/units:batch", {
      method: "POST",
      body: { units },
      timeoutMs: REQUEST_MS,
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`Write ${size} units: status ${response.status}: ${text.slice(0, 300)}`);
    const outcomes = (JSON.parse(text) as { units: { status: number; error?: { message: string } }[] }).units;
    const failed = outcomes.find(({ status }) => status >= 400);
    if (failed !== undefined) throw new Error(`Write ${size} units: ${failed.error?.message ?? failed.status}`);
  }

  #unit(): unknown {
    const index = this.#next;
    this.#next = (this.#next + 1) % this.count;
    this.#version += 1;
    const lines = Math.max(1, Math.round(this.#unitBytes / LINE_BYTES));
    const filler = Array.from({ length: lines }, (_, line) => {
      const text = crypto.getRandomValues(new Uint8Array(LINE_BYTES / 2 - 20)).toHex();
      return { section: "Service", name: "Environment", value: `LINE${line}=${text}` };
    });
    return {
      name: this.nameOf(index),
      desiredState: "inactive",
      options: [
        { section: "Unit", name: "Description", value: `version ${this.#version}` },
        { section: "Service", name: "ExecStart", value: "/bin/true" },
        ...filler,
      ],
    };
  }
}
