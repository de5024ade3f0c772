/**
 * The Log port: one structured line per decision.
 *
 * Idea. A room says what happened with fields; platform/ decides how it looks (journald's fields, a terminal). Messages
 * are sentences for an operator: attempted action first, quoted names, no secrets.
 *
 * @module
 */

/** syslog's scale as systemd uses it (sd-daemon(3)). */
export type LogLevel = "debug" | "info" | "notice" | "warning" | "error";

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  notice(message: string, fields?: LogFields): void;
  warning(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** For tests and for parts that were given no log. */
export const SILENT_LOG: Log = {
  debug() {},
  info() {},
  notice() {},
  warning() {},
  error() {},
};

/** The text of whatever was thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
