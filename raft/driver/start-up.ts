/**
 * What a start reads: log and snapshot, into core and machine; and what is done when the disk gives back something else than was
 * written to it.
 *
 * Idea. Whoever has others to learn from goes on as one that recovers (core/recovery.ts): the storage sets aside what is damaged, keeps
 * what it could verify, and marks itself until the leader says that all is back. Whoever has not, stops: an empty log in place of a damaged
 * one would be a lie to every client that was told "written".
 *
 * Invariants.
 * - Nothing that failed a check reaches the core, the machine or a peer.
 *
 * @module
 */
import { isUnknown } from "../core/membership.ts";
import { hasQuorum } from "../core/quorum.ts";
import type { Membership, NodeId, SnapshotMeta } from "../types.ts";
import { DamagedLogError } from "./errors.ts";
import { CorruptLogError, type LoadedState, type LogStorage, type RaftLog, type StateMachine } from "./ports.ts";

export interface StartUpOptions {
  readonly id: NodeId;
  /** What the node was told; what its disk said is in doubt when this is asked. */
  readonly membership: Membership;
  readonly storage: LogStorage;
  readonly machine: StateMachine;
  readonly log: RaftLog;
}

/** @throws DamagedLogError when the disk is damaged and nobody else has what was on it. */
export async function startUp(options: StartUpOptions): Promise<LoadedState> {
  try {
    return await load(options);
  } catch (error) {
    if (!(error instanceof CorruptLogError)) throw error;
    await recover(options, error);
  }
  return await load(options);
}

async function load({ storage, machine, log, id }: StartUpOptions): Promise<LoadedState> {
  const loaded = await storage.load();
  if (loaded.snapshot !== null) await restore(storage, machine, loaded.snapshot);
  if (loaded.hardState.recovery !== undefined) {
    log.warning(
      "This member recovers from damage to its disk: it votes for nobody and counts in no quorum until the leader has given it everything again",
      { node: id, last: loaded.entries.at(-1)?.index ?? loaded.snapshot?.index ?? 0 },
    );
  }
  return loaded;
}

async function restore(storage: LogStorage, machine: StateMachine, snapshot: SnapshotMeta): Promise<void> {
  const found = await storage.readSnapshot();
  if (found === null) throw new Error(`Start raft node: snapshot ${snapshot.index} has no bytes`);
  const loader = machine.load();
  for await (const chunk of found.chunks) loader.write(chunk);
  loader.finish()();
}

async function recover(options: StartUpOptions, damage: CorruptLogError): Promise<void> {
  const { id, membership, storage, log } = options;
  log.error("The disk gave back something else than was written to it", { node: id, found: damage.message });
  const others = membership.voters.filter((node) => node !== id);
  if (!isUnknown(membership) && !hasQuorum([membership.voters], (node) => others.includes(node))) {
    throw DamagedLogError.alone(damage, others.length === 0);
  }
  const { kept, setAside } = await storage.recover();
  log.notice("Set the damaged files aside; what is missing comes from the leader", { kept, setAside });
}
