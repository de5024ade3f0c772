/**
 * JournalSocket: lines with fields to systemd's journal, in its own protocol.
 *
 *   FIELD=value\n                       a value without line breaks
 *   FIELD\n <length, u64 LE> value \n   any other
 *
 * Idea. One datagram a line. A journal that is away or does not read is not waited for: the caller has another way (stderr), and
 * takes that for a while.
 *
 * Format: systemd's "Native Journal Protocol", systemd.journal-fields(7).
 *
 * @module
 */
import type { Clock } from "../lib/clock.ts";
import { UnixDatagram } from "./unix-datagram.ts";

export const JOURNAL_SOCKET = "/run/systemd/journal/socket";

/** A full queue of the journal is emptied in less, as a rule; the daemon stands still meanwhile. */
const PATIENCE_MS = 100;
/** After a failure: so long the journal is not tried again. */
const REST_MS = 5_000;
const NEWLINE = Buffer.from("\n");

export type JournalFields = Readonly<Record<string, string>>;

export class JournalSocket {
  readonly #socket: UnixDatagram;
  readonly #clock: Pick<Clock, "now">;
  #restsUntilMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Pick<Clock, "now">, path: string = JOURNAL_SOCKET) {
    this.#socket = new UnixDatagram({ path, patienceMs: PATIENCE_MS });
    this.#clock = clock;
  }

  /** False: the journal has not got it. */
  send(fields: JournalFields): boolean {
    if (this.#clock.now() < this.#restsUntilMs) return false;
    if (this.#socket.send(encodeFields(fields))) return true;
    this.#restsUntilMs = this.#clock.now() + REST_MS;
    return false;
  }
}

export function encodeFields(fields: JournalFields): Uint8Array {
  const plain: string[] = [];
  const parts: Buffer[] = [];
  for (const [name, value] of Object.entries(fields)) {
    if (!value.includes("\n")) {
      plain.push(name, "=", value, "\n");
      continue;
    }
    const bytes = Buffer.from(value);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(bytes.length));
    parts.push(Buffer.from(`${name}\n`), length, bytes, NEWLINE);
  }
  const text = Buffer.from(plain.join(""));
  return parts.length === 0 ? text : Buffer.concat([text, ...parts]);
}
