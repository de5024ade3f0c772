/**
 * Operators: they start, stop, change and destroy units through any member.
 *
 * @module
 */
import { parseUnitFile } from "../../../src/model/unit-file.ts";
import { KvError, RegistryError } from "../../../src/registry/types.ts";
import { isFenced } from "../check/fences.ts";
import type { SeededRandom } from "../random.ts";
import type { VirtualTime } from "../virtual-time.ts";
import type { Daemon } from "./daemon.ts";
import type { Host } from "./host.ts";

export interface OperatorsOptions {
  readonly random: SeededRandom;
  readonly time: VirtualTime;
  readonly hosts: readonly Host[];
  readonly note: (line: string) => void;
  readonly fail: (error: Error) => void;
}

const SECONDS = [1000, 2000, 3000];
const FILES = SECONDS.map((seconds) => parseUnitFile(`[Service]\nExecStart=/bin/sleep ${seconds}\n`));
/** With a stop that takes its time, so that there is something to overlap with. */
const FENCED_FILES = SECONDS.map((seconds) =>
  parseUnitFile(
    `[Service]\nExecStart=/bin/sleep ${seconds}\nExecStop=/bin/sleep ${seconds / 1000}\n[X-Flt]\nFence=strict\n`,
  ),
);

export class Operators {
  readonly counts = { done: 0, refused: 0 };
  readonly #options: OperatorsOptions;
  readonly #names: readonly string[];
  #over = false;

  constructor(options: OperatorsOptions) {
    this.#options = options;
    const kinds = ["u", "f"];
    this.#names = Array.from({ length: options.random.int(1, 5) }, (_, at) => `${kinds[at % 2]}${at}.service`);
  }

  begin(): void {
    const { random, time } = this.#options;
    time.after(random.between(50, 1200), () => {
      if (this.#over) return;
      this.begin();
      this.#give();
    });
  }

  /** Everybody at once. */
  hurry(): void {
    if (this.#over) return;
    for (const _ of this.#names) this.#give();
  }

  end(): void {
    this.#over = true;
  }

  #give(): void {
    const { random, hosts, note } = this.#options;
    const host = random.pick(hosts);
    const { daemon } = host;
    if (daemon === null) return;
    const name = random.pick(this.#names);
    const dice = random.next();
    const file = random.pick(isFenced(name) ? FENCED_FILES : FILES);
    note(`order ${name} ${dice.toFixed(2)} by ${host.id}`);
    host.arrive(() => {
      if (daemon.view.ready) this.#order(daemon, name, dice, file);
    });
  }

  #order({ units }: Daemon, name: string, dice: number, file: (typeof FILES)[number]): void {
    const order = (): Promise<unknown> => {
      if (dice < 0.5) return units.putUnit(name, file, "launched");
      if (dice < 0.7) return units.setDesiredState(name, "launched");
      if (dice < 0.85) return units.setDesiredState(name, "loaded");
      if (dice < 0.93) return units.setDesiredState(name, "inactive");
      return units.destroyUnit(name);
    };
    order().then(
      () => {
        this.counts.done += 1;
      },
      (error: unknown) => {
        this.counts.refused += 1;
        if (error instanceof KvError || error instanceof RegistryError) return;
        this.#options.fail(error instanceof Error ? error : new Error(String(error)));
      },
    );
  }
}
