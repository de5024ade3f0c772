/**
 * Durations as Go writes them: "4s", "1m30s", "500ms", "1.5h".
 *
 * @module
 */

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
const DURATION = /^(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/;
const PART = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g;
const PLAIN_NUMBER = /^(?:\d+\.?\d*|\.\d+)$/;

/** Milliseconds, or undefined for text that is no duration. Zero needs no unit; a sign is not understood. */
export function parseDuration(text: string): number | undefined {
  const trimmed = text.trim();
  if (trimmed === "0") {
    return 0;
  }
  if (!DURATION.test(trimmed)) {
    return undefined;
  }
  let totalMs = 0;
  for (const [, amount, unit] of trimmed.matchAll(PART)) {
    totalMs += Number(amount) * (UNIT_MS[unit ?? ""] ?? Number.NaN);
  }
  return totalMs;
}

/** As parseDuration, but a bare number counts seconds. */
export function parseSeconds(text: string): number | undefined {
  const trimmed = text.trim();
  return PLAIN_NUMBER.test(trimmed) ? Number(trimmed) * 1000 : parseDuration(trimmed);
}

/** "1m30s", "4s", "500ms": what a person would write. */
export function formatDuration(durationMs: number): string {
  if (durationMs < 1000) {
    return `${durationMs}ms`;
  }
  const hours = Math.floor(durationMs / 3_600_000);
  const minutes = Math.floor((durationMs % 3_600_000) / 60_000);
  const seconds = Math.round(durationMs % 60_000) / 1000;
  return `${hours > 0 ? `${hours}h` : ""}${minutes > 0 ? `${minutes}m` : ""}${seconds > 0 ? `${seconds}s` : ""}`;
}
