/**
 * Unit names: which are valid, what they are made of, and how the command line abbreviates them.
 *
 *   foo@bar.service   prefix "foo", instance "bar", suffix "service", stem "foo@bar", template "foo@.service"
 *
 * Idea. systemd's rules (systemd.unit(5)) as fleet narrowed them, checked once at the door. Everything behind it may put
 * a name into a file path or a store key, since no valid name holds a "/", a blank or a control character.
 *
 * Not here. Whether the unit exists, which states it may have.
 *
 * @module
 */

export const UNIT_NAME_MAX_LENGTH = 256;

/** Every type of unit that systemd knows or knew. */
export const UNIT_SUFFIXES = [
  "automount",
  "busname",
  "device",
  "mount",
  "path",
  "scope",
  "service",
  "slice",
  "snapshot",
  "socket",
  "swap",
  "target",
  "timer",
] as const;
export type UnitSuffix = (typeof UNIT_SUFFIXES)[number];

/** Types that may be templates or instances of one. */
export const TEMPLATE_SUFFIXES: readonly UnitSuffix[] = ["path", "service", "socket", "target", "timer"];

const STEM_CHARACTER = /[0-9A-Za-z:\-_.\\@]/;

export interface UnitName {
  /** All of it: "foo@bar.service". systemd's %n. */
  readonly name: string;
  /** Without the suffix: "foo@bar". systemd's %N. */
  readonly stem: string;
  /** What is before the first "@", else the stem: "foo". systemd's %p. */
  readonly prefix: string;
  /** What is between the first "@" and the suffix: "bar"; "" for templates and plain units. systemd's %i. */
  readonly instance: string;
  readonly suffix: UnitSuffix;
  readonly isTemplate: boolean;
  readonly isInstance: boolean;
  /** "foo@.service" for a template (itself) and its instances; "" for plain units. */
  readonly template: string;
}

/** Thrown for a name that is no unit name; the message names it and says what is wrong. */
export class UnitNameError extends Error {
  readonly code = "bad-unit-name";
  constructor(name: string, reason: string) {
    super(`Cannot use unit name ${quoteName(name)}: ${reason}`);
    this.name = "UnitNameError";
  }
}

/** Takes a name apart, or throws UnitNameError for the first rule that it breaks. */
export function parseUnitName(name: string): UnitName {
  const problem = unitNameProblem(name);
  if (problem !== undefined) {
    throw new UnitNameError(name, problem);
  }
  const dot = name.lastIndexOf(".");
  const stem = name.slice(0, dot);
  const suffix = name.slice(dot + 1) as UnitSuffix;
  const at = stem.indexOf("@");
  if (at === -1) {
    return { name, stem, prefix: stem, instance: "", suffix, isTemplate: false, isInstance: false, template: "" };
  }
  const prefix = stem.slice(0, at);
  const instance = stem.slice(at + 1);
  const template = `${prefix}@.${suffix}`;
  return {
    name,
    stem,
    prefix,
    instance,
    suffix,
    isTemplate: instance === "",
    isInstance: instance !== "",
    template,
  };
}

export function isUnitName(name: string): boolean {
  return unitNameProblem(name) === undefined;
}

function unitNameProblem(name: string): string | undefined {
  if (name.length === 0) {
    return "it is empty";
  }
  if (name.length > UNIT_NAME_MAX_LENGTH) {
    return `it has ${name.length} characters, at most ${UNIT_NAME_MAX_LENGTH} are allowed`;
  }
  const dot = name.lastIndexOf(".");
  if (dot === -1) {
    return 'it has no "." with a unit type after it, such as ".service"';
  }
  if (dot === name.length - 1) {
    return 'it ends in "."';
  }
  const suffix = name.slice(dot + 1);
  if (!(UNIT_SUFFIXES as readonly string[]).includes(suffix)) {
    return `${quoteName(suffix)} is no unit type, use one of ${UNIT_SUFFIXES.join(", ")}`;
  }
  if (dot === 0) {
    return `nothing stands before ".${suffix}"`;
  }
  for (const character of name.slice(0, dot)) {
    if (!STEM_CHARACTER.test(character)) {
      return `${JSON.stringify(character)} is not allowed in it, only letters, digits and ":-_.\\@" are`;
    }
  }
  if (name.startsWith("@")) {
    return 'it begins with "@"';
  }
  if (name.includes("@") && !(TEMPLATE_SUFFIXES as readonly string[]).includes(suffix)) {
    return `a ${suffix} unit cannot be a template or an instance ("@"), only ${TEMPLATE_SUFFIXES.join(", ")} units can`;
  }
  return undefined;
}

/**
 * The unit name that a command line argument means: the base name of a path, with ".service" where no unit type ends it.
 * The result may still be refused by parseUnitName.
 */
export function mangleUnitName(argument: string): string {
  const base = argument.replace(/\/+$/, "").replace(/^.*\//s, "");
  const suffix = base.slice(base.lastIndexOf(".") + 1);
  const typed = base.includes(".") && (UNIT_SUFFIXES as readonly string[]).includes(suffix);
  return typed ? base : `${base}.service`;
}

/** Quoted for a message: escapes what could disturb a terminal or a log, and cuts what is far too long. */
function quoteName(name: string): string {
  return JSON.stringify(name.length > UNIT_NAME_MAX_LENGTH ? `${name.slice(0, 40)}…` : name);
}
