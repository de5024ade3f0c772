/**
 * What systemd's own tools say of one unit, as they say it: `systemctl status`, `show` and `list-dependencies`, and `journalctl`.
 *
 * Idea. A generator of bytes around a child process. Reading slowly slows the child down through its pipe; leaving the
 * loop, or the signal, ends the child. The generator's return value is the exit status.
 *
 * Invariants.
 * - A child never outlives its reader.
 * - Nothing that a caller gives is taken for an option: names and values are checked, and come after `--` or `=`.
 *
 * @module
 */
import { decodeText } from "../../lib/text.ts";
import { isJournalTime, type JournalLines } from "../../model/journal.ts";
import { isPropertyName } from "../../model/property-name.ts";
import { isUnitName } from "../../model/unit-name.ts";
import { HOST_SCOPE, type SystemdScope } from "./scope.ts";

/** journalctl(1), --output. */
export const JOURNAL_OUTPUTS = [
  "short",
  "short-full",
  "short-iso",
  "short-iso-precise",
  "short-precise",
  "short-monotonic",
  "short-unix",
  "verbose",
  "export",
  "json",
  "json-pretty",
  "json-sse",
  "json-seq",
  "cat",
  "with-unit",
] as const;

export interface JournalOptions {
  /** How many lines of the past. */
  readonly lines: JournalLines;
  /** Nothing that is older; journalctl reads it, and refuses what is no time. */
  readonly since?: string;
  /** Goes on with what comes, until the reader leaves. */
  readonly follow: boolean;
  /** One of JOURNAL_OUTPUTS. */
  readonly output: string;
}

export interface DependenciesOptions {
  /** What the unit needs, what needs it, or what is ordered before and after it: systemctl's own words. */
  readonly direction: "requires" | "reverse" | "before" | "after";
  /** Every branch, not just those of targets. */
  readonly all: boolean;
  /** A list instead of a tree. */
  readonly plain: boolean;
}

/** The caller asked for something that these tools must not be given. */
export class InspectError extends Error {
  readonly code = "bad-request";
}

/** What a child may write to stderr; the rest is dropped. */
const STDERR_MAX_BYTES = 16_384;
const JOURNAL_LINES_MAX = 1_000_000;
const TOOL_ENVIRONMENT = {
  PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
  LANG: "C.UTF-8",
  SYSTEMD_COLORS: "0",
  SYSTEMD_URLIFY: "0",
};

/** The text of `systemctl status -l`; exit status 3 says "not active", 4 "no such unit" (systemctl(1)). */
export function unitStatus(
  name: string,
  signal: AbortSignal,
  scope: SystemdScope = HOST_SCOPE,
): AsyncGenerator<Uint8Array, number> {
  checkName(name);
  return output(["systemctl", ...scope.toolFlags, "status", "-l", "--no-pager", "--", name], signal, scope);
}

export function unitJournal(
  name: string,
  options: JournalOptions,
  signal: AbortSignal,
  scope: SystemdScope = HOST_SCOPE,
): AsyncGenerator<Uint8Array, number> {
  checkName(name);
  const { lines, since, follow } = options;
  if (lines !== "all" && (!Number.isInteger(lines) || lines < 0 || lines > JOURNAL_LINES_MAX)) {
    throw new InspectError(`Cannot read the journal of "${name}": lines must be 0 to ${JOURNAL_LINES_MAX}, or all`);
  }
  if (since !== undefined && !isJournalTime(since)) {
    throw new InspectError(`Cannot read the journal of "${name}": ${JSON.stringify(since)} is no time`);
  }
  const known = JOURNAL_OUTPUTS.find((candidate) => candidate === options.output);
  if (known === undefined) {
    throw new InspectError(
      `Cannot read the journal of "${name}": output "${options.output}" is not one of ${JOURNAL_OUTPUTS.join(" ")}`,
    );
  }
  const command = [
    "journalctl",
    ...scope.toolFlags,
    "--no-pager",
    `--unit=${name}`,
    `--lines=${lines}`,
    `--output=${known}`,
  ];
  if (follow) command.push("--follow");
  if (since === undefined) return output(command, signal, scope);
  return output([...command, `--since=${since}`], signal, scope, (words) => {
    return new InspectError(`Cannot read the journal of "${name}": ${words}`);
  });
}

/** `Name=value` lines; no properties: all of them. */
export function unitProperties(
  name: string,
  properties: readonly string[],
  signal: AbortSignal,
  scope: SystemdScope = HOST_SCOPE,
): AsyncGenerator<Uint8Array, number> {
  checkName(name);
  for (const property of properties) {
    if (isPropertyName(property)) continue;
    throw new InspectError(`Cannot show "${name}": ${JSON.stringify(property)} is no name of a property`);
  }
  const chosen = properties.map((property) => `--property=${property}`);
  const command = ["systemctl", ...scope.toolFlags, "show", "--no-pager", ...chosen, "--", name];
  return output(command, signal, scope);
}

export function unitDependencies(
  name: string,
  { direction, all, plain }: DependenciesOptions,
  signal: AbortSignal,
  scope: SystemdScope = HOST_SCOPE,
): AsyncGenerator<Uint8Array, number> {
  checkName(name);
  const command = ["systemctl", ...scope.toolFlags, "list-dependencies", "--no-pager"];
  if (direction === "reverse") command.push("--reverse");
  else if (direction === "before") command.push("--before");
  else if (direction === "after") command.push("--after");
  if (all) command.push("--all");
  if (plain) command.push("--plain");
  return output([...command, "--", name], signal, scope);
}

function checkName(name: string): void {
  if (!isUnitName(name)) throw new InspectError(`Cannot ask systemd about "${name}": not a unit name`);
}

/** @param refusal What is thrown when the tool fails before it has printed anything; null: its complaint is part of what it says. */
async function* output(
  command: readonly string[],
  signal: AbortSignal,
  scope: SystemdScope,
  refusal: ((words: string) => Error) | null = null,
): AsyncGenerator<Uint8Array, number> {
  if (signal.aborted) return -1;
  const child = Bun.spawn([...command], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { ...TOOL_ENVIRONMENT, ...scope.toolEnvironment },
  });
  const end = () => child.kill("SIGKILL");
  signal.addEventListener("abort", end, { once: true });
  const complaints = collect(child.stderr);
  try {
    let isSilent = true;
    for await (const chunk of child.stdout) {
      isSilent = false;
      yield chunk;
    }
    if (signal.aborted) return -1;
    const words = await complaints;
    const status = await child.exited;
    if (refusal !== null && isSilent && status !== 0) throw refusal(decodeText(words).trim());
    if (words.length > 0) yield words;
    return status;
  } finally {
    signal.removeEventListener("abort", end);
    end();
    await child.exited;
  }
}

/** Reads it all, so that the child never waits for us, and keeps the beginning. */
async function collect(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const kept: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of stream) {
    if (length >= STDERR_MAX_BYTES) continue;
    kept.push(chunk.subarray(0, STDERR_MAX_BYTES - length));
    length += chunk.length;
  }
  return Buffer.concat(kept);
}
