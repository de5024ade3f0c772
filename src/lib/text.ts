/**
 * UTF-8 in and out, with one encoder and one decoder for the process.
 *
 * @module
 */

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function encodeText(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Malformed bytes become U+FFFD: what is read for display must not throw. */
export function decodeText(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** For a message that quotes what somebody wrote: enough of it to be found again, however long it is. */
export function shortened(text: string, maxCharacters = 80): string {
  return text.length > maxCharacters ? `${text.slice(0, maxCharacters).toWellFormed()}…` : text;
}
