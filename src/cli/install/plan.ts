/**
 * What an installation or its removal will do to each file, decided before anything is touched.
 *
 * Invariants.
 * - Settings that somebody changed are never written over and never removed.
 * - Nothing is removed that the record does not know.
 *
 * @module
 */
import type { WantedFile } from "./files.ts";
import { hashOf, type InstallRecord } from "./record.ts";

export type Step =
  | { readonly kind: "create" | "update" | "same" | "keep"; readonly file: WantedFile }
  | { readonly kind: "remove" | "leave"; readonly path: string };

type Read = (path: string) => Uint8Array | null;

/** Files of an earlier installation that are not wanted any more go. */
export function planInstall(wanted: readonly WantedFile[], record: InstallRecord, read: Read): Step[] {
  const paths = new Set(wanted.map(({ path }) => path));
  const steps = wanted.map((file): Step => {
    const found = read(file.path);
    if (found === null) return { kind: "create", file };
    const hash = hashOf(found);
    if (hash === hashOf(file.content)) return { kind: "same", file };
    const isOurs = record.hashes.get(file.path)?.has(hash) === true;
    return { kind: file.isSettings && !isOurs ? "keep" : "update", file };
  });
  return [...steps, ...planRemoval(record, read).filter((step) => !("path" in step && paths.has(step.path)))];
}

export function planRemoval(record: InstallRecord, read: Read): Step[] {
  return [...record.hashes].flatMap(([path, hashes]): Step[] => {
    const found = read(path);
    if (found === null) return [];
    return [{ kind: hashes.has(hashOf(found)) ? "remove" : "leave", path }];
  });
}
