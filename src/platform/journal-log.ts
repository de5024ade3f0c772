/**
 * The real Log: one line per decision on stderr, with systemd's priority prefix when the journal listens.
 *
 * Idea. A service's stderr goes to the journal, which reads `<N>` at the start of a line as its priority
 * (sd-daemon(3)); JOURNAL_STREAM tells that it does. Elsewhere the level is written as a word.
 *
 * Invariants.
 * - One call, one line: line breaks in messages and values are escaped, so that nobody can forge a line.
 *
 * @module
 */
import type { Log, LogFields, LogLevel } from "../lib/log.ts";

const PRIORITIES: Readonly<Record<LogLevel, number>> = { error: 3, warning: 4, notice: 5, info: 6, debug: 7 };

export interface JournalLogSettings {
  /** Levels below this one are dropped. */
  readonly level: LogLevel;
  /** True when stderr is the journal. */
  readonly priorityPrefix: boolean;
}

export interface JournalLog extends Log {
  /** From the next line on. */
  configure(settings: JournalLogSettings): void;
}

export function createJournalLog(initial: JournalLogSettings, write: (line: string) => void): JournalLog {
  let settings = initial;
  function emit(level: LogLevel, message: string, fields?: LogFields): void {
    if (PRIORITIES[level] > PRIORITIES[settings.level]) return;
    const prefix = settings.priorityPrefix ? `<${PRIORITIES[level]}>` : `${level}: `;
    write(`${prefix}${oneLine(message)}${renderFields(fields)}\n`);
  }
  return {
    configure(next) {
      settings = next;
    },
    debug: (message, fields) => emit("debug", message, fields),
    info: (message, fields) => emit("info", message, fields),
    notice: (message, fields) => emit("notice", message, fields),
    warning: (message, fields) => emit("warning", message, fields),
    error: (message, fields) => emit("error", message, fields),
  };
}

function renderFields(fields: LogFields | undefined): string {
  if (fields === undefined) return "";
  let text = "";
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    const shown = oneLine(String(value));
    text += ` ${name}=${/[\s"=]/.test(shown) || shown === "" ? JSON.stringify(shown) : shown}`;
  }
  return text;
}

function oneLine(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f]/g, (char) => {
    if (char === "\n") return "\\n";
    return `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}
