/**
 * Clients that write without pause and remember what they were told; and the question whether a store still has it.
 *
 * Idea. Each key has one writer, which counts up: what a store holds must be the last number that was acknowledged, or a later
 * one that was tried and left open.
 *
 * @module
 */
import { sleep } from "../hosts/lib/wait.ts";
import type { Member, TestCluster } from "./cluster.ts";

const WRITERS = 6;
const KEYS = 8;
const VALUE_BYTES = 900;
const PAUSE_MS = 2;

interface Fate {
  acknowledged: number;
  tried: number;
}

export class Writers {
  readonly #cluster: TestCluster;
  readonly #fates = new Map<string, Fate>();
  #running = true;
  #loops: readonly Promise<void>[] = [];
  acknowledged = 0;
  /** Why writes were left open, for whoever looks into a failure. */
  readonly open = new Map<string, number>();

  constructor(cluster: TestCluster) {
    this.#cluster = cluster;
  }

  begin(): void {
    this.#running = true;
    this.#loops = Array.from({ length: WRITERS }, (_, writer) => this.#loop(writer));
  }

  async end(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#loops);
  }

  /** One write through this member; false when it was not acknowledged. */
  async write(member: Member, key: string): Promise<boolean> {
    const fate = this.#fates.get(key) ?? { acknowledged: 0, tried: 0 };
    this.#fates.set(key, fate);
    const number = ++fate.tried;
    try {
      await member.call(`/put?key=${key}`, numbered(number));
      fate.acknowledged = number;
      this.acknowledged += 1;
      return true;
    } catch (error) {
      const reason = String(error).slice(0, 100);
      this.open.set(reason, (this.open.get(reason) ?? 0) + 1);
      return false;
    }
  }

  /** Keys of this store whose number is not one that the writers allow. */
  async lost(member: Member): Promise<readonly string[]> {
    const found = new Map(await member.call<[string, string][]>("/keys"));
    return [...this.#fates]
      .map(([key, { acknowledged, tried }]) => {
        const number = Number(found.get(key) ?? 0);
        return number >= acknowledged && number <= tried ? "" : `${key}: ${number}, not ${acknowledged} to ${tried}`;
      })
      .filter((line) => line !== "");
  }

  async #loop(writer: number): Promise<void> {
    for (let turn = 0; this.#running; turn++) {
      const up = this.#cluster.members.filter(({ isUp }) => isUp);
      const member = up[(turn + writer) % Math.max(1, up.length)];
      const isDone = member !== undefined && (await this.write(member, `w${writer}-${turn % KEYS}`));
      await sleep(isDone ? PAUSE_MS : 10 * PAUSE_MS);
    }
  }
}

/** The number, a zero, and something to fill the disk with. */
function numbered(number: number): Uint8Array {
  const value = new Uint8Array(VALUE_BYTES);
  value.set(new TextEncoder().encode(String(number)));
  return value;
}
