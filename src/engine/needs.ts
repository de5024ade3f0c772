/**
 * What a unit asks of its machine, ready for matching: its requirements with their globs compiled.
 *
 * Idea. Read once for each unit file that a unit gets, not once a decision. A file that cannot be read any more (the API
 * refuses such files; an older release may have taken it) leaves the unit where it is and places it nowhere new.
 *
 * @module
 */
import { reasonOf } from "../lib/log.ts";
import { compileGlob, type Glob } from "../model/glob.ts";
import { PLACEMENT_SECTIONS, parseRequirements } from "../model/requirements.ts";
import type { UnitOption } from "../model/unit-file.ts";

export interface Needs {
  /** Why the file cannot be read; null when it can. */
  readonly problem: string | null;
  readonly machineIds: readonly string[];
  readonly machineOf: readonly string[];
  readonly metadata: ReadonlyMap<string, ReadonlySet<string>>;
  readonly conflicts: readonly Glob[];
  readonly replaces: readonly Glob[];
  readonly global: boolean;
  /** Fence=strict: it may go elsewhere only when its machine has surely stopped it. */
  readonly fenced: boolean;
}

/** Shared by all units without a placement section, which are most of them. */
const NO_NEEDS: Needs = {
  problem: null,
  machineIds: [],
  machineOf: [],
  metadata: new Map(),
  conflicts: [],
  replaces: [],
  global: false,
  fenced: false,
};

export function readNeeds(unitName: string, options: readonly UnitOption[] | undefined): Needs {
  if (options === undefined) return { ...NO_NEEDS, problem: "Its unit file is not in the registry: submit it again" };
  if (!options.some((option) => (PLACEMENT_SECTIONS as readonly string[]).includes(option.section))) return NO_NEEDS;
  try {
    const { machineIds, machineOf, metadata, conflicts, replaces, global, fence } = parseRequirements(
      unitName,
      options,
    );
    return {
      problem: null,
      machineIds,
      machineOf,
      metadata,
      conflicts: conflicts.map(globFor),
      replaces: replaces.map(globFor),
      global,
      fenced: fence === "strict",
    };
  } catch (error) {
    return { ...NO_NEEDS, problem: reasonOf(error) };
  }
}

/** Most patterns are plain names: those are compared, not matched, since a conflict is looked for beside every neighbour. */
function globFor(pattern: string): Glob {
  return /[\\*?[]/.test(pattern) ? compileGlob(pattern) : { pattern, matches: (text) => text === pattern };
}

export function matchesAny(globs: readonly Glob[], name: string): Glob | undefined {
  return globs.find((glob) => glob.matches(name));
}
