/**
 * What a daemon has said on one connection, cut into its answers: as strict as the clients that have to live with it.
 *
 * @module
 */

/** Statuses in order, the interim ones (1xx) left out. Throws for bytes that are no row of whole answers. */
export function readAnswers(bytes: Buffer): number[] {
  const text = bytes.toString("latin1");
  const statuses: number[] = [];
  let at = 0;
  while (at < text.length) {
    const headEnd = text.indexOf("\r\n\r\n", at);
    const [statusLine = "", ...fields] = text.slice(at, headEnd).split("\r\n");
    const status = Number(/^HTTP\/1\.1 (\d{3}) [ -~]*$/.exec(statusLine)?.[1]);
    if (headEnd < 0 || Number.isNaN(status)) throw new Error(`No answer: ${JSON.stringify(text.slice(at, at + 300))}`);
    at = headEnd + 4;
    if (status < 200) continue;
    statuses.push(status);
    at = bodyEnd(text, at, status, fields);
  }
  return statuses;
}

function bodyEnd(text: string, at: number, status: number, fields: readonly string[]): number {
  // The answer to a HEAD announces a body and has none.
  const isBare = status === 204 || at === text.length || text.startsWith("HTTP/1.1 ", at);
  if (isBare) return at;
  const length = fieldOf(fields, "content-length");
  if (length !== undefined) {
    const end = at + Number(length);
    if (!(end <= text.length))
      throw new Error(`An answer of ${length} bytes breaks off: ${JSON.stringify(text.slice(at))}`);
    return end;
  }
  if (fieldOf(fields, "transfer-encoding")?.toLowerCase() !== "chunked") return text.length;
  for (let next = at; ; ) {
    const size = /^([0-9a-f]+)\r\n/i.exec(text.slice(next, next + 16))?.[1];
    if (size === undefined) throw new Error(`An answer in chunks breaks off: ${JSON.stringify(text.slice(at))}`);
    next += size.length + 2 + Number.parseInt(size, 16) + 2;
    if (Number.parseInt(size, 16) === 0) return next;
  }
}

function fieldOf(fields: readonly string[], name: string): string | undefined {
  return fields
    .find((field) => field.toLowerCase().startsWith(`${name}:`))
    ?.slice(name.length + 1)
    .trim();
}
