/**
 * Ctrl-C for programs that have something to say before they end: the first one asks, a second one ends at once.
 *
 * @module
 */

const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

export interface Interruption {
  readonly signal: AbortSignal;
  /** What the process is to end with; null while nobody interrupted it. */
  readonly exitCode: () => number | null;
}

export function interruption(): Interruption {
  const controller = new AbortController();
  let exitCode: number | null = null;
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.once(name, () => {
      exitCode ??= EXIT_CODES[name];
      controller.abort();
    });
  }
  return { signal: controller.signal, exitCode: () => exitCode };
}
