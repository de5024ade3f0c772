/**
 * Ownership: whether a unit name belongs to the host itself.
 *
 * Problem. Linking `ssh.service` with force would put our unit in front of the host's own.
 * Idea. A name is the host's when one of systemd's unit directories has a file of this name that is not a link to ours,
 * when it has a template that this name would be an instance of, or when systemd has a unit of this name in memory that comes from
 * elsewhere (mounts, devices, transient units). Drop-ins that the host has for a name do not make it the host's: they are in
 * force, as systemd has it, and left alone.
 *
 * @module
 */
import { type Dirent, existsSync, lstatSync, readdirSync, readlinkSync, rmSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { isMissing } from "./keep-file.ts";

/** Slices that systemd has without a file. Others without one are made up for the units in them, and may be replaced. */
const PERPETUAL_SLICES = new Set(["-.slice", "system.slice"]);

/** What systemd says of a unit in its memory. */
export interface UnitOrigin {
  readonly loadState: string;
  readonly fragmentPath: string;
}

/** The host's file of this name; undefined: there is none. A link into the void is nobody's. */
export function hostFile(name: string, ownFile: string, unitDirectories: readonly string[]): string | undefined {
  for (const directory of unitDirectories) {
    const file = join(directory, name);
    const target = linkTarget(file);
    if (target === null || file === ownFile || target === ownFile) continue;
    if (target === undefined || existsSync(target)) return file;
  }
  return undefined;
}

/** `getty@.service` of `getty@tty1.service`; undefined: it is no instance. */
export function templateOf(name: string): string | undefined {
  const at = name.indexOf("@");
  const dot = name.lastIndexOf(".");
  return at < 0 || at + 1 >= dot ? undefined : name.slice(0, at + 1) + name.slice(dot);
}

/** What `systemctl mask` makes (systemd.unit(5)): a link to /dev/null, or an empty file. */
export function isMask(file: string): boolean {
  return linkTarget(file) === "/dev/null" || statSync(file, { throwIfNoEntry: false })?.size === 0;
}

/** Where fleet's agent kept the files of its units. */
const FLEET_UNITS = "/run/fleet/units/";

/**
 * The file of a unit that fleet was running here, and that neither its end nor its destruction has taken away; undefined: it is none.
 *
 * @param found What the host has: a file, or a link.
 */
export function leftByFleet(found: string, ownFile: string): string | undefined {
  const target = linkTarget(found) ?? found;
  return target.startsWith(FLEET_UNITS) && target !== ownFile ? target : undefined;
}

/** Why a unit in systemd's memory is the host's, in words; undefined: it is not. */
export function hostUnit(name: string, ownFile: string, runtimeUnits: string, origin: UnitOrigin): string | undefined {
  // A mask that is gone from the disk is in memory until systemd reloads.
  if (origin.loadState === "not-found" || origin.loadState === "masked") return undefined;
  const { fragmentPath } = origin;
  if (fragmentPath === ownFile || fragmentPath === join(runtimeUnits, name)) return undefined;
  if (fragmentPath !== "") return `it has loaded it from "${fragmentPath}"`;
  if (name.endsWith(".slice") && !PERPETUAL_SLICES.has(name)) return undefined;
  return "it made it itself";
}

/** Names of the links that systemd was given to files of this directory, whether those are there or not. */
export function linkedUnits(unitsDirectory: string, runtimeUnits: string): string[] {
  return entriesOf(runtimeUnits)
    .filter((entry) => entry.isSymbolicLink())
    .map((entry) => entry.name)
    .filter((name) => linkTarget(join(runtimeUnits, name)) === join(unitsDirectory, name));
}

/** Takes away the link that systemd was given, when it is ours. */
export function unlinkRuntime(name: string, ownFile: string, runtimeUnits: string): void {
  const link = join(runtimeUnits, name);
  if (linkTarget(link) === ownFile) rmSync(link, { force: true });
}

/** Takes away every link to these files, whatever its name, also those in `*.wants` and its like. */
export function unlinkAll(ownFiles: readonly string[], runtimeUnits: string): void {
  const targets = new Set<string | null | undefined>(ownFiles);
  for (const entry of entriesOf(runtimeUnits)) {
    const path = join(runtimeUnits, entry.name);
    if (entry.isSymbolicLink() && targets.has(linkTarget(path))) rmSync(path, { force: true });
    if (!entry.isDirectory()) continue;
    for (const name of readdirSync(path)) if (targets.has(linkTarget(join(path, name)))) rmSync(join(path, name));
  }
}

function entriesOf(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    // systemd makes it when it has something to put there.
    if (isMissing(error)) return [];
    throw error;
  }
}

/** null: there is nothing; undefined: it is no link. */
function linkTarget(file: string): string | null | undefined {
  try {
    // Mostly there is nothing, in a dozen directories for each unit: an exception would cost more than the look.
    const found = lstatSync(file, { throwIfNoEntry: false });
    if (found === undefined) return null;
    if (!found.isSymbolicLink()) return undefined;
    return resolve(dirname(file), readlinkSync(file));
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}
