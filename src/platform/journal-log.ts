/**
 * The real Log: one line per decision, with its fields to the journal, or as text to stderr.
 *
 * Idea. Where stderr is the journal (sd-daemon(3), JOURNAL_STREAM) a line goes to the journal's own socket: the sentence as
 * MESSAGE=, what it is about as UNIT= and MACHINE=, everything else as FLT_…=, and decisions under their MESSAGE_ID=. When that way
 * is barred it goes to stderr with systemd's priority in front. Elsewhere the level is written as a word.
 *
 * Invariants.
 * - One call, one line: line breaks in messages and values are escaped, so that nobody can forge a line.
 * - At most LINES_PER_SECOND_MAX lines a second; how many were left out is a line, too.
 *
 * @module
 */
import type { Clock } from "../lib/clock.ts";
import type { Log, LogFields, LogLevel } from "../lib/log.ts";
import type { JournalFields } from "./journal-socket.ts";

const PRIORITIES: Readonly<Record<LogLevel, number>> = { error: 3, warning: 4, notice: 5, info: 6, debug: 7 };
/** Beyond what any cluster decides; the journal's own limit (journald.conf(5), 10,000 in 30 s) is a fifth of it, over a longer time. */
const LINES_PER_SECOND_MAX = 2_000;

export interface JournalLogSettings {
  /** Levels below this one are dropped. */
  readonly level: LogLevel;
  /** Where stderr goes. */
  readonly format: "journal" | "text";
}

export interface JournalLogPorts {
  readonly clock: Pick<Clock, "now">;
  /** To stderr. */
  readonly write: (line: string) => void;
  /** To the journal's socket; false: it did not go out. */
  readonly send?: (fields: JournalFields) => boolean;
  /** The machine that a line is about when it names no other. */
  readonly machine?: string;
  /** The MESSAGE_ID of a line's field `decision`. */
  readonly messageIdOf?: (decision: string) => string | undefined;
  /** The field by which the journal lists lines of others under a unit (journalctl(1), --unit, --user-unit). */
  readonly unitField?: "OBJECT_SYSTEMD_UNIT" | "OBJECT_SYSTEMD_USER_UNIT";
}

export interface JournalLog extends Log {
  /** From the next line on. */
  configure(settings: JournalLogSettings): void;
}

/** Said by the sentence or by a field of its own. */
const OWN_FIELDS = new Set(["unit", "machine", "decision"]);

export function createJournalLog(initial: JournalLogSettings, ports: JournalLogPorts): JournalLog {
  let settings = initial;
  let secondBeganMs = Number.NEGATIVE_INFINITY;
  let lines = 0;

  function isTooMuch(): boolean {
    const nowMs = ports.clock.now();
    if (nowMs - secondBeganMs < 1000) return ++lines > LINES_PER_SECOND_MAX;
    const dropped = Math.max(0, lines - LINES_PER_SECOND_MAX);
    secondBeganMs = nowMs;
    lines = 1;
    if (dropped > 0) put("warning", "Left out log lines: there were too many in one second", { lines: dropped });
    return false;
  }

  function emit(level: LogLevel, message: string, fields: LogFields = {}): void {
    if (PRIORITIES[level] <= PRIORITIES[settings.level] && !isTooMuch()) put(level, message, fields);
  }

  function put(level: LogLevel, message: string, fields: LogFields): void {
    const isJournal = settings.format === "journal";
    if (isJournal && ports.send?.(journalFields(level, message, fields)) === true) return;
    const prefix = isJournal ? `<${PRIORITIES[level]}>` : `${level}: `;
    ports.write(`${prefix}${oneLine(message)}${renderFields(fields, isJournal ? OWN_FIELDS : new Set())}\n`);
  }

  function journalFields(level: LogLevel, message: string, fields: LogFields): JournalFields {
    const { decision, unit } = fields;
    const machine = fields.machine ?? ports.machine;
    const messageId = decision === undefined ? undefined : ports.messageIdOf?.(String(decision));
    const all: Record<string, string> = {
      MESSAGE: oneLine(message) + renderFields(fields, OWN_FIELDS),
      PRIORITY: String(PRIORITIES[level]),
      SYSLOG_IDENTIFIER: "flt",
    };
    if (messageId !== undefined) all.MESSAGE_ID = messageId;
    if (machine !== undefined) all.MACHINE = String(machine);
    if (unit !== undefined) {
      all.UNIT = String(unit);
      if (messageId !== undefined && ports.unitField !== undefined) all[ports.unitField] = String(unit);
    }
    for (const [name, value] of Object.entries(fields)) {
      if (value === undefined || name === "unit" || name === "machine") continue;
      all[`FLT_${name.replace(/[A-Z]/g, "_$&").toUpperCase()}`] = String(value);
    }
    return all;
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

function renderFields(fields: LogFields, without: ReadonlySet<string>): string {
  let text = "";
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined || without.has(name)) continue;
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
