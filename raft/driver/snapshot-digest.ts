/**
 * What both ends of a transfer say about a snapshot's bytes, so that neither takes the other's word for them.
 *
 * Idea. SHA-256 over the chunks, each with its length before it: equal digests mean the same bytes, cut in the same places. The receiver
 * tells the digest of what it has; the sender, who reads its own file anyway, goes on behind it only if its bytes give the same. At
 * the end it is the other way round. So it does not matter which leader sent the beginning.
 *
 * Not here. Damage on one's own disk: each file has its checksums (adapters/snapshot-files.ts).
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { SnapshotMeta } from "../types.ts";
import type { SnapshotPrefix } from "./ports.ts";

export class SnapshotDigest {
  readonly #hash = createHash("sha256");
  #chunks = 0;

  get chunks(): number {
    return this.#chunks;
  }

  add(chunk: Uint8Array): void {
    this.#hash.update(`${chunk.length} `).update(chunk);
    this.#chunks += 1;
  }

  /** Of what was added so far; more may follow. */
  value(): string {
    return this.#hash.copy().digest("hex");
  }
}

/**
 * Reads past what the receiver has already.
 *
 * @param chunks From the beginning; afterwards they stand behind the prefix.
 * @param digest Is given what was passed over.
 * @returns "differs" when the bytes read are not those of the prefix: they are gone, the transfer has to begin anew.
 */
export async function skipPrefix(
  meta: SnapshotMeta,
  chunks: AsyncIterator<Uint8Array>,
  prefix: SnapshotPrefix | null,
  digest: SnapshotDigest,
): Promise<"nothing" | "skipped" | "differs"> {
  if (prefix === null || prefix.index !== meta.index || prefix.term !== meta.term) return "nothing";
  while (digest.chunks < prefix.chunks) {
    const { done, value } = await chunks.next();
    if (done) return "differs";
    digest.add(value);
  }
  return digest.value() === prefix.digest ? "skipped" : "differs";
}
