/**
 * Commands: everything that changes the store, as values; and what applying one answers.
 *
 * Idea. A command is what a log entry carries. It holds all that apply needs, so every replica does the same with it;
 * in particular it carries no time.
 *
 * @module
 */
import {
  KvError,
  type KvErrorCode,
  type Lease,
  type LeaseId,
  type Revision,
  type TxnRequest,
  type TxnResponse,
} from "./kv.ts";

export type Command =
  | { readonly kind: "txn"; readonly request: TxnRequest }
  /** id 0: the store chooses, the same on every replica. */
  | { readonly kind: "lease-grant"; readonly id: LeaseId; readonly ttlMs: number }
  /** Ids that are unknown are passed over. Each lease's keys go in one revision of their own. */
  | { readonly kind: "lease-revoke"; readonly ids: readonly LeaseId[] }
  | { readonly kind: "compact"; readonly revision: Revision };

export interface Refused {
  readonly kind: "refused";
  readonly code: KvErrorCode;
  readonly message: string;
  readonly compactRevision: Revision | undefined;
}

/** `revision` is the store's after the command. */
export type CommandResult =
  | { readonly kind: "txn"; readonly response: TxnResponse }
  | { readonly kind: "lease-grant"; readonly lease: Lease; readonly revision: Revision }
  | { readonly kind: "lease-revoke"; readonly revoked: readonly LeaseId[]; readonly revision: Revision }
  | { readonly kind: "compact"; readonly revision: Revision }
  | Refused;

export function refused(error: KvError): Refused {
  return { kind: "refused", code: error.code, message: error.message, compactRevision: error.compactRevision };
}

export function refusalError(refusal: Refused): KvError {
  return new KvError(refusal.code, refusal.message, refusal.compactRevision);
}
