/**
 * strace's lines as what they do to files: created, written, cut, synced, removed, renamed.
 *
 * @module
 */

export type FileCall =
  | { readonly kind: "create"; readonly path: string }
  | { readonly kind: "unlink"; readonly path: string }
  | { readonly kind: "rename"; readonly path: string; readonly to: string }
  /** at: null, behind what was written last. */
  | { readonly kind: "write"; readonly path: string; readonly at: number | null; readonly bytes: Uint8Array }
  | { readonly kind: "truncate"; readonly path: string; readonly size: number }
  /** What was written before `since` is on disk: the number of calls that had begun when this one did. */
  | { readonly kind: "sync"; readonly path: string; readonly since: number };

/** For strace: everything that changes a file, with paths of descriptors and all bytes. */
export const TRACE = [
  ...["-f", "-y", "-x", "-s", "2000000"],
  ...["-e", "trace=openat,write,pwrite64,fsync,fdatasync,ftruncate,unlink,unlinkat,rename,close"],
];

const UNFINISHED = / <unfinished \.\.\.>$/;
const RESUMED = /^<\.\.\. \w+ resumed>/;
const ESCAPES: Readonly<Record<string, number>> = { n: 10, t: 9, r: 13, v: 11, f: 12 };

/** The calls on files below `directory` that succeeded, in the order in which they began. */
export function fileCalls(trace: string, directory: string): readonly FileCall[] {
  const calls: (FileCall | null)[] = [];
  /** By thread: where its call stands, and its text so far. */
  const begun = new Map<string, { readonly place: number; readonly text: string }>();
  for (const line of trace.split("\n")) {
    const [, thread = "", rest = ""] = /^(\d+) +(.*)$/s.exec(line) ?? [];
    if (UNFINISHED.test(rest)) {
      begun.set(thread, { place: calls.length, text: rest.replace(UNFINISHED, "") });
      calls.push(null);
      continue;
    }
    const start = RESUMED.test(rest) ? begun.get(thread) : undefined;
    const text = start === undefined ? rest : start.text + rest.replace(RESUMED, "");
    const place = start?.place ?? calls.length;
    const call = callOf(text, place);
    if (call === null || !call.path.startsWith(directory)) continue;
    // A write counts from when it began; a sync is done when it has returned, for what was there when it began.
    if (start === undefined || call.kind === "sync") calls.push(call);
    else calls[place] = call;
  }
  return calls.map((call) => call ?? { kind: "sync", path: "", since: 0 });
}

function callOf(text: string, since: number): FileCall | null {
  const [, name = "", words = "", result = ""] = /^(\w+)\((.*)\)\s+= (-?\d+)/s.exec(text) ?? [];
  if (name === "" || result.startsWith("-")) return null;
  const path = /^\d+<([^>]*)>/.exec(words)?.[1] ?? "";
  if (name === "fsync" || name === "fdatasync") return { kind: "sync", path, since };
  if (name === "ftruncate") return { kind: "truncate", path, size: Number(/, (\d+)$/.exec(words)?.[1]) };
  if (name === "write" || name === "pwrite64") {
    const [, quoted = "", at] = /^[^>]*>, "(.*)", \d+(?:, (\d+))?$/s.exec(words) ?? [];
    return { kind: "write", path, at: at === undefined ? null : Number(at), bytes: unquoted(quoted) };
  }
  const quotedPaths = [...words.matchAll(/"([^"]*)"/g)].map((match) => match[1] ?? "");
  const [first = "", second = ""] = quotedPaths;
  if (name === "unlink") return { kind: "unlink", path: first };
  if (name === "rename") return { kind: "rename", path: first, to: second };
  return name === "openat" && words.includes("O_CREAT") ? { kind: "create", path: first } : null;
}

function unquoted(text: string): Uint8Array {
  const bytes: number[] = [];
  for (let at = 0; at < text.length; at++) {
    if (text[at] !== "\\") {
      bytes.push(text.charCodeAt(at));
      continue;
    }
    at += 1;
    const octal = /^[0-7]{1,3}/.exec(text.slice(at, at + 3))?.[0];
    if (text[at] === "x") {
      bytes.push(Number.parseInt(text.slice(at + 1, at + 3), 16));
      at += 2;
    } else if (octal !== undefined) {
      bytes.push(Number.parseInt(octal, 8));
      at += octal.length - 1;
    } else bytes.push(ESCAPES[text[at] ?? ""] ?? text.charCodeAt(at));
  }
  return new Uint8Array(bytes);
}
