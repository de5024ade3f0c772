/**
 * A raft machine's loader for tests whose state is small: it keeps the chunks until all are there.
 *
 * @module
 */
import type { StateLoader } from "#raft";

export function collectingLoader(replace: (bytes: Uint8Array) => void): StateLoader {
  const chunks: Uint8Array[] = [];
  return {
    write(chunk) {
      chunks.push(chunk.slice());
    },
    finish() {
      const bytes = Buffer.concat(chunks);
      return () => replace(bytes);
    },
  };
}
