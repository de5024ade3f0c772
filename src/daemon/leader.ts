/**
 * Whose engine decides now, as far as this daemon knows.
 *
 * Idea. The leadership key names the last engine, and stays when that one is gone: it is believed of this machine only while the
 * engine runs here, and of another one only while the store says that it may lead.
 *
 * @module
 */
import type { MachineId } from "../model/machine.ts";
import type { DaemonStore } from "./store.ts";

export interface LeaderFacts {
  readonly self: MachineId;
  /** The engine runs here. */
  readonly leads: boolean;
  readonly view: { readonly leader: MachineId | null; address(id: MachineId): string | undefined };
  readonly store: Pick<DaemonStore, "mayBeLedBy">;
}

/** null: nobody's, or it is not known. */
export function currentLeader({ self, leads, view, store }: LeaderFacts): MachineId | null {
  const { leader } = view;
  if (leader === null) return null;
  const isSo = leader === self ? leads : store.mayBeLedBy(view.address(leader) ?? "");
  return isSo ? leader : null;
}
