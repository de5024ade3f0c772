/**
 * Enablement: the links of held units, and their [Install] sections; both at runtime only.
 *
 * Problem. `Also=` makes systemd's disable take along other units, and a linked unit loses its very link with it: the end of one
 * held unit would take another one away from systemd.
 * Idea. systemd's answer lists the links that it took away. Held units among them are linked and enabled again; as that may bring
 * back what their own Also= names, the links of the unit that goes are looked for at the end.
 *
 * Invariants.
 * - Afterwards every held unit has its link, and its [Install] section in force; the unit that went has no link at all.
 *
 * Not here. When a unit loses its own link (systemd-manager.ts).
 *
 * @module
 */
import { basename } from "node:path";
import { type Log, reasonOf } from "../../lib/log.ts";
import { isUnitName } from "../../model/unit-name.ts";
import { BusRefusal } from "./bus.ts";
import { Coalescer } from "./coalescer.ts";
import { unlinkAll } from "./ownership.ts";

/** Names that `Alias=` asks for beside the unit's own, with the specifiers that are made of its name. */
export function aliasesOf(name: string, text: string): string[] {
  const lines = text.replaceAll("\\\n", " ").split("\n");
  const aliases: string[] = [];
  let section = "";
  for (const line of lines) {
    if (line.startsWith("[")) section = line;
    else if (section === "[Install]" && line.startsWith("Alias=")) aliases.push(...line.slice(6).split(/\s+/));
  }
  const expanded = aliases.map((alias) => expand(alias, name));
  return [...new Set(expanded)].filter((alias) => isUnitName(alias) && alias !== name);
}

/** %n %N %p %i of systemd.unit(5); what else there is stays as it is, and makes no valid name. */
function expand(text: string, name: string): string {
  const stem = name.slice(0, name.lastIndexOf("."));
  const at = stem.indexOf("@");
  const specifiers: Readonly<Record<string, string>> = {
    "%n": name,
    "%N": stem,
    "%p": at < 0 ? stem : stem.slice(0, at),
    "%i": at < 0 ? "" : stem.slice(at + 1),
    "%%": "%",
  };
  return text.replace(/%./g, (specifier) => specifiers[specifier] ?? specifier);
}

export interface EnablementOptions {
  /** Calls systemd's manager. */
  readonly call: (member: string, signature: string, body: readonly unknown[]) => Promise<readonly unknown[]>;
  /** The text of a unit that is held; undefined: it is not. */
  readonly textOf: (name: string) => string | undefined;
  readonly fileOf: (name: string) => string;
  readonly runtimeUnits: string;
  readonly log: Log;
}

/** A row of DisableUnitFiles' answer, type `a(sss)`: what was done, to which link, and where that pointed. */
type FileChange = readonly [kind: string, link: string, target: string];

const INSTALL_SECTION = /^\[Install\]$/m;

export function hasInstallSection(text: string): boolean {
  return INSTALL_SECTION.test(text);
}

export class Enablement {
  readonly #options: EnablementOptions;
  readonly #linking: Coalescer;
  readonly #enabling: Coalescer;
  readonly #disabling: Coalescer;
  /** Units on their way out. */
  readonly #leaving = new Set<string>();

  constructor(options: EnablementOptions) {
    this.#options = options;
    this.#linking = new Coalescer(async (paths) => {
      await options.call("LinkUnitFiles", "asbb", [paths, true, true]);
    });
    this.#enabling = new Coalescer(async (names) => {
      await options.call("EnableUnitFiles", "asbb", [names, true, true]);
    });
    this.#disabling = new Coalescer((names) => this.#disableAll(names));
  }

  /** Puts the unit's file where systemd looks for it. */
  link(name: string): Promise<void> {
    return this.#linking.add(this.#options.fileOf(name));
  }

  enable(name: string): Promise<void> {
    return this.#enabling.add(name);
  }

  /**
   * Takes back what enable() did, all or in part; until gone() is called nothing gives the unit its links back. What the file wants
   * to be enabled as may be gone or never have been valid: that is logged, and no failure.
   */
  async disable(name: string): Promise<void> {
    this.#leaving.add(name);
    try {
      await this.#disabling.add(name);
    } catch (error) {
      if (!(error instanceof BusRefusal)) throw error;
      // Also= of another unit has done it.
      const { log } = this.#options;
      log[error.errorName.endsWith(".NoSuchUnit") ? "debug" : "notice"](`Cannot disable "${name}": ${error.message}`, {
        unit: name,
      });
    }
  }

  /** The unit's file is deleted, or stays after all. */
  gone(name: string): void {
    this.#leaving.delete(name);
  }

  async #disableAll(names: readonly string[]): Promise<void> {
    const { call, fileOf, runtimeUnits } = this.#options;
    const [changes] = await call("DisableUnitFiles", "asb", [names, true]);
    const unlinked = (changes as readonly FileChange[]).map(([, link]) => basename(link));
    const bereft = [...new Set(unlinked)].filter((name) => this.#textToKeep(name) !== undefined);
    for (const name of bereft) await this.#restore(name);
    if (bereft.length > 0) unlinkAll(names.map(fileOf), runtimeUnits);
  }

  async #restore(name: string): Promise<void> {
    const { log } = this.#options;
    const text = this.#textToKeep(name);
    if (text === undefined) return;
    try {
      await this.link(name);
      if (hasInstallSection(text)) await this.#enabling.add(name);
    } catch (error) {
      if (!(error instanceof BusRefusal)) throw error;
      log.warning(`Cannot enable "${name}" again after another unit was disabled: ${reasonOf(error)}`, { unit: name });
    }
  }

  #textToKeep(name: string): string | undefined {
    return isUnitName(name) && !this.#leaving.has(name) ? this.#options.textOf(name) : undefined;
  }
}
