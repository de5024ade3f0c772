/**
 * A host's systemd as one life of the daemon reaches it.
 *
 * Idea. systemd outlives the daemon, and does what it was told while the daemon stands still. So what a life asks goes straight to it,
 * and what it says comes back through the life's door.
 *
 * @module
 */
import type {
  FenceState,
  HeldUnit,
  Order,
  ReloadNeed,
  UnitCondition,
  UnitFile,
  UnitManager,
  UnitManagerListener,
} from "../../../src/agent/unit-manager.ts";
import type { FakeUnitManager } from "../../fakes/unit-manager.ts";
import type { Life } from "../life.ts";

/** @param text The file, for a load. */
export type OnOrder = (verb: "load" | "start" | "stop" | "unload", name: string, text: string) => void;

export class SystemdOfLife implements UnitManager {
  readonly #life: Life;
  readonly #systemd: FakeUnitManager;
  readonly #onOrder: OnOrder;

  constructor(life: Life, systemd: FakeUnitManager, onOrder: OnOrder) {
    this.#life = life;
    this.#systemd = systemd;
    this.#onOrder = onOrder;
  }

  held(): Promise<readonly HeldUnit[]> {
    return this.#ask(() => this.#systemd.held());
  }
  states(names: readonly string[]): Promise<ReadonlyMap<string, UnitCondition>> {
    return this.#ask(() => this.#systemd.states(names));
  }
  load(file: UnitFile): Promise<ReloadNeed> {
    return this.#ask(() => {
      this.#onOrder("load", file.name, file.text);
      return this.#systemd.load(file);
    });
  }
  restore(file: UnitFile, launched: boolean): Promise<ReloadNeed> {
    return this.#ask(() => this.#systemd.restore(file, launched));
  }
  reload(): Promise<void> {
    return this.#ask(() => this.#systemd.reload());
  }
  start(name: string): Promise<Order> {
    return this.#order("start", name, () => this.#systemd.start(name));
  }
  stop(name: string): Promise<Order> {
    return this.#order("stop", name, () => this.#systemd.stop(name));
  }
  unload(name: string): Promise<ReloadNeed> {
    return this.#ask(() => {
      this.#onOrder("unload", name, "");
      return this.#systemd.unload(name, () => !this.#life.dead);
    });
  }
  armFence(afterMs: number): Promise<FenceState> {
    return this.#ask(() => this.#systemd.armFence(afterMs));
  }

  subscribe(listener: UnitManagerListener): () => void {
    const unsubscribe = this.#systemd.subscribe({
      changed: (name, condition) => this.#life.arrive(() => listener.changed(name, condition)),
      lost: (name) => this.#life.arrive(() => listener.lost(name)),
      freed: (name) => this.#life.arrive(() => listener.freed(name)),
      connection: (event) => this.#life.arrive(() => listener.connection(event)),
    });
    return unsubscribe;
  }

  async #order(verb: "start" | "stop", name: string, give: () => Promise<Order>): Promise<Order> {
    const order = await this.#ask(() => {
      this.#onOrder(verb, name, "");
      return give();
    });
    return { done: this.#ask(() => order.done) };
  }

  #ask<T>(question: () => Promise<T>): Promise<T> {
    if (this.#life.dead) return new Promise(() => {});
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    question().then(
      (answer) => this.#life.arrive(() => resolve(answer)),
      (error: unknown) => this.#life.arrive(() => reject(error)),
    );
    return promise;
  }
}
