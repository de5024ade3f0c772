/**
 * Reads TypeScript source as text: which modules it names, which words are code, where its functions begin and end.
 *
 * Problem. `Bun.Transpiler.scanImports` leaves out `import type`, and a layer is broken by a type as well.
 * Idea. One pass blanks comments and the insides of strings while every other character keeps its place; whatever looks for
 * words or braces then works on that text with regular expressions, and line numbers stay true.
 * Invariants.
 * - `code` has the length and the line breaks of the source.
 * - Code inside `${…}` of a template stays visible.
 *
 * Not here. What is allowed (rules.ts).
 *
 * @module
 */

export interface ImportSite {
  readonly specifier: string;
  readonly line: number;
  /** Only types are named: `import type`, or `typeof import("…")`. */
  readonly typeOnly: boolean;
  /** Loaded when it is reached, by `import("…")`. */
  readonly dynamic: boolean;
}

export interface FunctionSite {
  readonly line: number;
  readonly lines: number;
}

export interface Scan {
  readonly code: string;
  readonly imports: readonly ImportSite[];
}

interface Literal {
  readonly start: number;
  readonly value: string;
}

/** After one of these a slash begins a regular expression, not a division. */
const BEFORE_REGEX = /(?:^|[=([{,;:!&|?+\-*%<>~^}]|\b(?:return|typeof|case|in|of|do|else|void|await|yield))\s*$/;

class Blanker {
  readonly #source: string;
  readonly #out: string[];
  readonly literals: Literal[] = [];
  #at = 0;

  constructor(source: string) {
    this.#source = source;
    this.#out = source.split("");
  }

  run(): string {
    this.#code("");
    return this.#out.join("");
  }

  /** Blanks [from, to) but for line breaks. */
  #blank(from: number, to: number): void {
    for (let index = from; index < to && index < this.#out.length; index++) {
      if (this.#out[index] !== "\n") {
        this.#out[index] = " ";
      }
    }
  }

  /** Runs over code until the end of the source, or the brace that closes a template's `${`. */
  #code(closer: "" | "}"): void {
    let depth = 0;
    while (this.#at < this.#source.length) {
      const char = this.#source[this.#at] ?? "";
      const pair = this.#source.slice(this.#at, this.#at + 2);
      if (pair === "//") {
        this.#until("\n", 2, 0);
      } else if (pair === "/*") {
        this.#until("*/", 2, 2);
      } else if (char === '"' || char === "'") {
        this.#string(char);
      } else if (char === "`") {
        this.#template();
      } else if (char === "/" && this.#isRegex()) {
        this.#regex();
      } else {
        if (closer !== "" && char === "}" && depth === 0) {
          return;
        }
        depth += char === "{" ? 1 : char === "}" ? -1 : 0;
        this.#at++;
      }
    }
  }

  #until(end: string, skip: number, keep: number): void {
    const found = this.#source.indexOf(end, this.#at + skip);
    const stop = found < 0 ? this.#source.length : found + keep;
    this.#blank(this.#at, stop);
    this.#at = stop;
  }

  #string(quote: string): void {
    const start = this.#at++;
    while (this.#at < this.#source.length && this.#source[this.#at] !== quote && this.#source[this.#at] !== "\n") {
      this.#at += this.#source[this.#at] === "\\" ? 2 : 1;
    }
    this.literals.push({ start, value: this.#source.slice(start + 1, this.#at) });
    this.#blank(start + 1, this.#at);
    this.#at++;
  }

  #template(): void {
    this.#at++;
    while (this.#at < this.#source.length && this.#source[this.#at] !== "`") {
      if (this.#source.startsWith("${", this.#at)) {
        this.#at += 2;
        this.#code("}");
        this.#at++;
      } else {
        const width = this.#source[this.#at] === "\\" ? 2 : 1;
        this.#blank(this.#at, this.#at + width);
        this.#at += width;
      }
    }
    this.#at++;
  }

  #isRegex(): boolean {
    return BEFORE_REGEX.test(this.#out.slice(Math.max(0, this.#at - 40), this.#at).join(""));
  }

  #regex(): void {
    const start = this.#at++;
    let inClass = false;
    while (this.#at < this.#source.length && this.#source[this.#at] !== "\n") {
      const char = this.#source[this.#at];
      if (char === "/" && !inClass) {
        break;
      }
      inClass = char === "[" ? true : char === "]" ? false : inClass;
      this.#at += char === "\\" ? 2 : 1;
    }
    this.#blank(start + 1, this.#at);
    this.#at++;
  }
}

/** One-based line of a position. */
export function lineAt(text: string, position: number): number {
  let line = 1;
  for (let index = text.indexOf("\n"); index >= 0 && index < position; index = text.indexOf("\n", index + 1)) {
    line++;
  }
  return line;
}

/** `import … from "x"`, `export … from "x"`, `import "x"`, `import("x")`; the quote is the end of the match. */
const IMPORT =
  /(?<![.\w#])(?:(?<statement>import|export)(?<type>\s+type\b)?(?:[\w\s{},*$]*?\bfrom)?\s*|(?<query>typeof\s+)?import\s*\(\s*)(?=["'])/g;

export function scan(source: string): Scan {
  const blanker = new Blanker(source);
  const code = blanker.run();
  const literals = new Map(blanker.literals.map((literal) => [literal.start, literal.value]));
  const imports: ImportSite[] = [];
  for (const match of code.matchAll(IMPORT)) {
    const specifier = literals.get(match.index + match[0].length);
    if (specifier !== undefined) {
      const typeOnly = match.groups?.type !== undefined || match.groups?.query !== undefined;
      const dynamic = match[0].includes("(");
      imports.push({ specifier, line: lineAt(source, match.index), typeOnly, dynamic });
    }
  }
  return { code, imports };
}

const CLOSERS: Readonly<Record<string, string>> = { "(": ")", "{": "}", "[": "]", "<": ">" };

/** Position of the bracket that closes the one at `open`, or -1. Only brackets of the same kind are counted. */
function closing(code: string, open: number): number {
  const opener = code[open] ?? "";
  const closer = CLOSERS[opener] ?? "";
  let depth = 0;
  for (let index = open; index < code.length; index++) {
    if (code[index] === opener) {
      depth++;
    } else if (code[index] === closer && code[index - 1] !== "=") {
      depth--;
      if (depth === 0) {
        return index;
      }
    }
  }
  return -1;
}

const CONTROL = /\b(?:if|for|while|switch|catch|with|await)\s*$/;

/** Where the body of a function begins whose parameters end before `at`; -1 when what stands there is no function. */
function bodyAfter(code: string, at: number): number {
  let expectsType = false;
  for (let index = at; index < code.length; index++) {
    const char = code[index] ?? "";
    if (/\s/.test(char)) {
      continue;
    }
    if (char === "{" && !expectsType) {
      return index;
    }
    if (char === "{" || char === "(" || char === "[" || char === "<") {
      const close = closing(code, index);
      if (close < 0) {
        return -1;
      }
      index = close;
      expectsType = false;
    } else if (char === "=" && code[index + 1] === ">") {
      index++;
      // `(a): T => {`: a body. `(a: () => void): T`: handled by the brackets above.
      expectsType = false;
    } else if (char === ":" || char === "|" || char === "&") {
      expectsType = true;
    } else if (/[\w$.'"]/.test(char)) {
      if (index === at) {
        return -1;
      }
      expectsType = false;
    } else {
      return -1;
    }
  }
  return -1;
}

/** Every function with a block for a body, in order of their parameters. */
export function functionsOf(code: string): FunctionSite[] {
  const sites = new Map<number, FunctionSite>();
  for (let open = code.indexOf("("); open >= 0; open = code.indexOf("(", open + 1)) {
    const close = CONTROL.test(code.slice(Math.max(0, open - 12), open)) ? -1 : closing(code, open);
    const after = close < 0 ? "" : code.slice(close + 1, close + 40).trimStart();
    if (!after.startsWith("{") && !after.startsWith(":") && !after.startsWith("=>")) {
      continue;
    }
    const body = bodyAfter(code, close + 1);
    const end = body < 0 ? -1 : closing(code, body);
    if (end >= 0 && !sites.has(body)) {
      const line = lineAt(code, open);
      sites.set(body, { line, lines: lineAt(code, end) - line + 1 });
    }
  }
  return [...sites.values()];
}
