/**
 * Watchers and holders of leases: clients that stay, and go on elsewhere when their member dies.
 *
 * @module
 */
import { type KeyRange, KvError, type Lease, prefixEnd } from "../../../src/store/kv.ts";
import { WatchCheck } from "../check/truth.ts";
import type { SeededRandom } from "../random.ts";
import type { VirtualTime } from "../virtual-time.ts";
import { CLIENT_KEYS } from "./clients.ts";
import type { Daemon } from "./daemon.ts";
import type { Host } from "./host.ts";
import type { Observer } from "./observer.ts";

export interface WatchersOptions {
  readonly random: SeededRandom;
  readonly time: VirtualTime;
  readonly hosts: readonly Host[];
  readonly observer: Observer;
  readonly note: (line: string) => void;
}

const encoder = new TextEncoder();
const PREFIX = encoder.encode(CLIENT_KEYS);
const RANGES: readonly KeyRange[] = [
  { key: PREFIX, end: prefixEnd(PREFIX) },
  { key: encoder.encode(`${CLIENT_KEYS}0`) },
];

export class Watchers {
  readonly #options: WatchersOptions;
  readonly #checks: WatchCheck[] = [];
  compactions = 0;

  constructor(options: WatchersOptions) {
    this.#options = options;
  }

  begin(): void {
    for (let count = this.#options.random.int(1, 3); count > 0; count--) {
      const range = this.#options.random.pick(RANGES);
      const check = new WatchCheck(this.#options.observer.truth, `watcher ${count}`, range, 1);
      this.#checks.push(check);
      this.#reopen(check, range);
    }
  }

  settle(): void {
    for (const check of this.#checks) check.settled();
  }

  #reopen(check: WatchCheck, range: KeyRange): void {
    const { random, time, hosts, observer } = this.#options;
    time.after(random.between(5, 400), () => {
      const host = random.pick(hosts);
      const { daemon } = host;
      if (daemon === null) {
        this.#reopen(check, range);
        return;
      }
      let isOpen = true;
      const again = () => {
        if (isOpen) this.#reopen(check, range);
        isOpen = false;
      };
      daemon.life.onEnd(again);
      host.arrive(() => {
        this.#follow(daemon, check, range).then(again, (error: Error) => observer.fail(error));
      });
    });
  }

  /** Until it is lost, closed on a whim or refused as compacted. */
  async #follow({ kv, life }: Daemon, check: WatchCheck, range: KeyRange): Promise<void> {
    const { random } = this.#options;
    const watch = kv.watch({ ...range, startRevision: check.reached + 1 });
    try {
      for await (const batch of watch) {
        check.delivered(batch);
        if (random.chance(0.02)) break;
        if (random.chance(0.1)) watch.requestProgress();
        // A slow reader falls behind.
        if (random.chance(0.05))
          await new Promise<void>((resolve) => life.clock.after(random.between(1, 800), resolve));
      }
    } catch (error) {
      if (!(error instanceof KvError) || error.code !== "compacted") throw error;
      check.compacted(error);
      this.compactions += 1;
      await this.#catchUp(kv, check, range);
    } finally {
      watch.close();
    }
  }

  async #catchUp(kv: Daemon["kv"], check: WatchCheck, range: KeyRange): Promise<void> {
    try {
      const { revision } = await kv.range(range);
      check.reached = Math.max(check.reached, revision);
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
    }
  }
}

/** Keeps a key under a lease, for a while, and forgets it then. */
export class Holders {
  readonly #options: WatchersOptions;
  readonly abandoned: number[] = [];
  #over = false;

  constructor(options: WatchersOptions) {
    this.#options = options;
  }

  begin(): void {
    for (let count = this.#options.random.int(1, 3); count > 0; count--) this.#live();
  }

  end(): void {
    this.#over = true;
  }

  #live(): void {
    const { random, time } = this.#options;
    time.after(random.between(50, 3000), () => {
      if (this.#over) return;
      const ttlMs = random.int(2000, 4000);
      if (!this.#ask((daemon) => this.#grant(daemon, ttlMs))) this.#live();
    });
  }

  #grant(daemon: Daemon, ttlMs: number): void {
    const { observer, time, random } = this.#options;
    observer
      .watchedKv(daemon.kv)
      .leaseGrant({ ttlMs })
      .then(
        (lease) => {
          const key = encoder.encode(`l/${lease.id}`);
          const put = { op: "put" as const, key, value: key, lease: lease.id };
          daemon.kv.txn({ compare: [], success: [put], failure: [] }).catch(ignore);
          this.#keep(lease, time.now() + random.between(0, 12_000));
        },
        (error: unknown) => {
          ignore(error);
          this.#live();
        },
      );
  }

  #keep(lease: Lease, untilMs: number): void {
    const { random, time, observer } = this.#options;
    if (this.#over || time.now() > untilMs) {
      this.abandoned.push(lease.id);
      this.#live();
      return;
    }
    time.after(lease.ttlMs * random.between(0.15, 0.4), () => {
      this.#ask((daemon) => void observer.watchedKv(daemon.kv).leaseKeepAlive(lease.id).catch(ignore));
      this.#keep(lease, untilMs);
    });
  }

  /** False: nobody is there to be asked. */
  #ask(question: (daemon: Daemon) => void): boolean {
    const { random, hosts } = this.#options;
    const host = random.pick(hosts);
    const { daemon } = host;
    if (daemon !== null) host.arrive(() => question(daemon));
    return daemon !== null;
  }
}

/** What a holder is refused it does not need to know. */
function ignore(error: unknown): void {
  if (!(error instanceof KvError)) throw error;
}
