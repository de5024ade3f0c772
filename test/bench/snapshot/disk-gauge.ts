/**
 * How long the disk takes for a few bytes of somebody who does nothing else: a page written and synced again and again, beside what is measured.
 *
 * Idea. Three hosts share one disk, and perhaps others use it: what a bare sync waits for there, a daemon's log waits for, too.
 *
 * @module
 */
import { type FileHandle, open, unlink } from "node:fs/promises";
import { sleep } from "../../hosts/lib/wait.ts";

const EVERY_MS = 20;
const PAGE = new Uint8Array(4096);
/** The file does not grow: what is looked for is the sync, not the room. */
const PAGES = 256;

export class DiskGauge {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #running: Promise<void>;
  #stopped = false;
  #longestMs = 0;

  private constructor(path: string, file: FileHandle) {
    this.#path = path;
    this.#file = file;
    this.#running = this.#run();
  }

  static async start(path: string): Promise<DiskGauge> {
    return new DiskGauge(path, await open(path, "w"));
  }

  begin(): void {
    this.#longestMs = 0;
  }

  /** The longest since begin(). */
  get longestMs(): number {
    return this.#longestMs;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
    await this.#file.close();
    await unlink(this.#path);
  }

  async #run(): Promise<void> {
    for (let page = 0; !this.#stopped; page = (page + 1) % PAGES) {
      const begin = performance.now();
      await this.#file.write(PAGE, 0, PAGE.length, page * PAGE.length);
      await this.#file.datasync();
      this.#longestMs = Math.max(this.#longestMs, performance.now() - begin);
      await sleep(EVERY_MS);
    }
  }
}
