/**
 * SIGHUP: reads the configuration again and lets the running daemon follow it.
 *
 * Idea. All or nothing at the door: a file that cannot be used changes nothing. Behind it, option by option: what can change does,
 * what cannot is named. systemd hears RELOADING before and READY after it, whatever the outcome (sd_notify(3)).
 *
 * Invariants.
 * - One reload at a time; a request during one leads to another one after it, and only one.
 *
 * @module
 */
import type { LoadedConfig } from "../config/load.ts";
import { planReload } from "../config/reload.ts";
import type { FltConfig } from "../config/table.ts";
import { type Log, reasonOf } from "../lib/log.ts";

export interface ReloaderPorts {
  readonly log: Log;
  /** Reads it all anew; throws when it cannot be used. */
  load(): LoadedConfig;
  /** Makes the daemon follow; throws, with nothing changed, when it cannot. */
  apply(config: FltConfig): Promise<void>;
  /** Around each reload. */
  announce(state: "reloading" | "ready"): void;
  /** Whether an error is the configuration's fault; any other is the program's, and fatal. */
  isExpected(error: unknown): boolean;
}

export class Reloader {
  readonly #ports: ReloaderPorts;
  #config: FltConfig;
  #running: Promise<void> | null = null;
  #again = false;

  constructor(config: FltConfig, ports: ReloaderPorts) {
    this.#config = config;
    this.#ports = ports;
  }

  /** Resolves when no reload is under way any more. */
  reload(): Promise<void> {
    this.#again = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #run(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      this.#ports.announce("reloading");
      try {
        await this.#once();
      } finally {
        this.#ports.announce("ready");
      }
    }
  }

  async #once(): Promise<void> {
    const { log } = this.#ports;
    try {
      const loaded = this.#ports.load();
      const plan = planReload(this.#config, loaded);
      await this.#ports.apply(plan.config);
      this.#config = plan.config;
      for (const warning of [...loaded.warnings, ...plan.refusals]) log.warning(warning);
      log.notice("Read the configuration again", {
        configuration: loaded.path ?? "defaults",
        changed: plan.changed.join(",") || "nothing",
      });
    } catch (error) {
      if (!this.#ports.isExpected(error)) throw error;
      log.error(`Reading the configuration again changed nothing: ${reasonOf(error)}`);
    }
  }
}
