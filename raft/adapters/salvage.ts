/**
 * What of a damaged log is still to be believed: a hard state, a snapshot and a run of entries whose checksums are right.
 *
 * Idea. A log is worth its unbroken beginning: the snapshot, if all of it can be read, and the entries behind it up to the first one
 * that is damaged or missing. Without the snapshot only entries from the very first are of use. Term and vote save an
 * election or two; nothing rests on them, since whoever recovers gives no vote (core/recovery.ts). The commit index is believed only as
 * it was written with these entries.
 *
 * @module
 */
import { CorruptLogError } from "../driver/ports.ts";
import type { Entry, HardState, LogIndex } from "../types.ts";
import type { LogDatabase, NamedSnapshot } from "./log-database.ts";
import { SnapshotFileReader } from "./snapshot-files.ts";

export interface Salvaged {
  readonly hardState: HardState;
  readonly snapshot: NamedSnapshot | null;
  readonly entries: readonly Entry[];
}

const NOTHING: Salvaged = {
  hardState: { term: 0, vote: 0, commit: 0 },
  snapshot: null,
  entries: [],
};

/** @param database null when not even that can be opened. */
export async function salvage(
  database: LogDatabase | null,
  directory: string,
  hardState: HardState | null,
): Promise<Salvaged> {
  if (database === null) return NOTHING;
  const named = unlessDamaged(() => database.readSnapshot());
  const snapshot = named !== null && (await isSound(named, directory)) ? named : null;
  const entries: Entry[] = [];
  unlessDamaged(() => database.readEntriesInto(entries, (snapshot?.meta.index ?? 0) + 1));
  const lastTerm = entries.at(-1)?.term ?? snapshot?.meta.term ?? 0;
  const written = unlessDamaged(() => database.readState()?.hardState ?? null);
  const known = hardState ?? written;
  const isUsable = known !== null && known.term >= lastTerm;
  // The reserve's commit index may speak of entries that this log lost, and others may stand in their places.
  const kept = isUsable ? { ...known, commit: written?.commit ?? 0 } : { term: lastTerm, vote: 0, commit: 0 };
  return { hardState: kept, snapshot, entries };
}

export function lastIndexOf({ entries, snapshot }: Salvaged): LogIndex {
  return entries.at(-1)?.index ?? snapshot?.meta.index ?? 0;
}

async function isSound({ file, size }: NamedSnapshot, directory: string): Promise<boolean> {
  try {
    for await (const _chunk of await SnapshotFileReader.open(directory, file, size));
    return true;
  } catch (error) {
    if (error instanceof CorruptLogError) return false;
    throw error;
  }
}

function unlessDamaged<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof CorruptLogError) return null;
    throw error;
  }
}
