/**
 * Lines of text out of chunks of bytes, as they become whole.
 *
 * Invariants.
 * - At most one unfinished line is held, and no more of it than `maxLength` characters.
 *
 * @module
 */

/**
 * Without their ends; empty ones and what follows the last line break are left out.
 *
 * @param tooLong Makes what is thrown for a line that is longer, or has no end.
 */
export async function* textLines(
  chunks: AsyncIterable<Uint8Array>,
  maxLength: number,
  tooLong: () => Error,
): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) {
      // In however many chunks it came: where a line is too long must not hang on that.
      if (part.length > maxLength) throw tooLong();
      if (part !== "") yield part;
    }
    if (rest.length > maxLength) throw tooLong();
  }
}
