/**
 * Which part of a unit's journal is asked for, in journalctl's own words.
 *
 * Idea. What a time means, journalctl of the unit's machine knows best: it reads it by that machine's clock and zone, and refuses what is
 * none. Here is only refused what cannot be one.
 *
 * @module
 */

/** How many lines of the past; "all" of them. */
export type JournalLines = number | "all";

const TIME_MAX_LENGTH = 100;

/** "2026-11-21 09:30", "yesterday", "-1h30min", "@1700000000": systemd.time(7). */
export function isJournalTime(text: string): boolean {
  return text.length <= TIME_MAX_LENGTH && /^[\w@+-][\w@+:./ -]*$/.test(text);
}
