/**
 * Claims: may this unit have the names that it asks for, its own and its aliases?
 *
 * Idea. What ownership.ts finds out on disk and in systemd's memory, made into a refusal for whoever asked. Refused names are
 * kept in mind: when systemd has read its files again (`systemctl unmask` makes it do so) they are looked at once more, and told
 * when nothing is in their way any longer.
 *
 * Invariants.
 * - A check changes nothing on the host.
 *
 * @module
 */
import { UnitManagerError } from "../unit-manager.ts";
import { BusRefusal } from "./bus.ts";
import type { ManagerCalls } from "./manager-calls.ts";
import { unitPath } from "./names.ts";
import { hostFile, hostUnit, isMask, leftByFleet, templateOf } from "./ownership.ts";
import type { SystemdScope } from "./scope.ts";
import { UNIT_INTERFACE } from "./signals.ts";

/** A unit that is to be loaded. */
export interface Claim {
  readonly name: string;
  /** The unit's file in the units directory. */
  readonly file: string;
  /** Further names that its [Install] section asks for. */
  readonly aliases: readonly string[];
}

/** What systemd has in memory of a name; null: nothing. */
export interface InMemory {
  readonly loadState: string;
  readonly fragmentPath: string;
}

export interface ClaimsOptions {
  readonly calls: ManagerCalls;
  readonly scope: SystemdScope;
  /** Where systemd looks for unit files, in its order. */
  readonly unitDirectories: () => readonly string[];
  /** A name that was refused is free now. */
  readonly onFreed: (name: string) => void;
}

export class Claims {
  readonly #options: ClaimsOptions;
  readonly #refused = new Map<string, Claim>();

  constructor(options: ClaimsOptions) {
    this.#options = options;
  }

  /** Throws `name-taken`; tells what systemd has of this name in memory. */
  async check(claim: Claim): Promise<InMemory | null> {
    try {
      const memory = await this.#check(claim);
      this.#refused.delete(claim.name);
      return memory;
    } catch (error) {
      if (error instanceof UnitManagerError && error.code === "name-taken") this.#refused.set(claim.name, claim);
      throw error;
    }
  }

  /** Nobody wants this unit here any more. */
  drop(name: string): void {
    this.#refused.delete(name);
  }

  /** systemd has read its files again. */
  async lookAgain(): Promise<void> {
    for (const claim of [...this.#refused.values()]) {
      try {
        await this.check(claim);
      } catch (error) {
        if (error instanceof UnitManagerError || error instanceof BusRefusal) continue;
        throw error;
      }
      this.#options.onFreed(claim.name);
    }
  }

  async #check({ name, file, aliases }: Claim): Promise<InMemory | null> {
    const memory = await this.#memoryOf(name);
    const why = this.#objection(name, file, memory);
    if (why !== null) throw new UnitManagerError("name-taken", `Cannot load "${name}": ${why}`);
    for (const alias of aliases) {
      const against = this.#objection(alias, file, await this.#memoryOf(alias));
      if (against === null) continue;
      throw new UnitManagerError("name-taken", `Cannot load "${name}": it asks for Alias=${alias}, but ${against}`);
    }
    return memory;
  }

  /** null: nothing speaks against it. */
  #objection(name: string, file: string, memory: InMemory | null): string | null {
    const { scope } = this.#options;
    const directories = this.#options.unitDirectories();
    const own = hostFile(name, file, directories);
    if (own !== undefined && isMask(own)) {
      const flags = [...scope.toolFlags, ...(own.startsWith(scope.runtimeUnits) ? ["--runtime"] : [])];
      return `it is masked on this machine by "${own}". Run \`${["systemctl", ...flags, "unmask", name].join(" ")}\` there`;
    }
    const left = leftByFleet(own ?? memory?.fragmentPath ?? "", file);
    if (left !== undefined) return fleets(name, left, scope);
    if (own !== undefined) return taken(`in "${own}"`);
    const template = templateOf(name);
    const source = template === undefined ? undefined : hostFile(template, file, directories);
    if (source !== undefined && !isMask(source)) return taken(`an instance of its template "${source}"`);
    const why = memory === null ? undefined : hostUnit(name, file, scope.runtimeUnits, memory);
    return why === undefined ? null : taken(why);
  }

  async #memoryOf(name: string): Promise<InMemory | null> {
    const { calls } = this.#options;
    if (!(await calls.isInMemory(name))) return null;
    const object = unitPath(name);
    const [loadState, fragmentPath] = await Promise.all([
      calls.property(object, UNIT_INTERFACE, "LoadState"),
      calls.property(object, UNIT_INTERFACE, "FragmentPath"),
    ]);
    return { loadState: String(loadState), fragmentPath: String(fragmentPath) };
  }
}

/** Another name would not be what its user wants: this one has come from fleet. */
function fleets(name: string, left: string, { toolFlags }: SystemdScope): string {
  const drop = ["systemctl", ...toolFlags, "disable", "--runtime", "--now", name].join(" ");
  return (
    `fleet has left it on this machine, linked to "${left}". Stop fleet there (systemctl disable --now fleet), ` +
    `then what it left, which ends that process and removes the link: \`${drop}\``
  );
}

function taken(why: string): string {
  return `this machine's own systemd has a unit of this name, ${why}. Choose another name`;
}
