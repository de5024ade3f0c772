/**
 * Executables and packages of flt for tests that install and upgrade: this tree's, and a later one that differs in its version alone.
 *
 * @module
 */
import { mkdtemp, rm } from "node:fs/promises";
import { mustExec } from "./shell.ts";

const ROOT = `${import.meta.dir}/../../..`;
export const NEXT_VERSION = "0.1.1";
/** xz at its quickest takes 10 s of a core, and a busy machine has other things to do. */
const PACK_MS = 240_000;

/** The path of dist/versions/0.1.1/flt, built now. */
export async function buildNextVersion(): Promise<string> {
  const folder = `${ROOT}/dist/versions/${NEXT_VERSION}`;
  await mustExec([process.execPath, `${ROOT}/scripts/build.ts`, folder, NEXT_VERSION], { timeoutMs: PACK_MS });
  return `${folder}/flt`;
}

/** One place of the tree's text, and what stands there in a build that has the bug. */
export interface PlantedBug {
  readonly name: string;
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/** The path of dist/versions/NAME/flt, built now with this bug in it. */
export async function buildWithBug({ name, file, find, replace }: PlantedBug): Promise<string> {
  const folder = `${ROOT}/dist/versions/${name}`;
  const script = `${import.meta.dir}/build-with-bug.ts`;
  await mustExec([process.execPath, script, folder, file, find, replace], { timeoutMs: PACK_MS });
  return `${folder}/flt`;
}

/** Packs into a folder of its own; what it returns is the package's path. */
export async function pack(folder: string, ...flags: readonly string[]): Promise<string> {
  const out = await mustExec([`${ROOT}/scripts/package`, `--output=${folder}`, ...flags], { timeoutMs: PACK_MS });
  return out.trim().split("\n").at(-1) ?? "";
}

export async function temporaryFolder(): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const path = await mkdtemp("/var/tmp/flt-packages-");
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}
