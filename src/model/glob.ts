/**
 * Shell patterns for unit names, with the meaning that Go's path.Match gives them (https://pkg.go.dev/path#Match).
 *
 *   *       any run of characters other than "/"
 *   ?       any one character other than "/"
 *   [a-cx]  one of these; [^a-c] one that is none of these (a class may match "/")
 *   \c      the character c itself, inside a class, too
 *
 * Idea. A pattern is compiled whole before it is used, so that a malformed one is refused even where a match would have
 * failed earlier. Matching goes back only to the latest star: quadratic at worst, whatever the pattern.
 *
 * @module
 */

/** Thrown for a pattern that no text can be compared with. */
export class GlobError extends Error {
  readonly code = "bad-glob";
  constructor(pattern: string, reason: string) {
    super(`Cannot use pattern ${JSON.stringify(pattern)}: ${reason}`);
    this.name = "GlobError";
  }
}

interface CharacterRange {
  readonly low: number;
  readonly high: number;
}
type Token =
  | { readonly kind: "star" }
  | { readonly kind: "any" }
  | { readonly kind: "literal"; readonly point: number }
  | { readonly kind: "class"; readonly negated: boolean; readonly ranges: readonly CharacterRange[] };

export interface Glob {
  readonly pattern: string;
  /** Whether the pattern describes all of the text. */
  matches(text: string): boolean;
}

const SLASH = 0x2f;
const NEEDS_ESCAPE = /[\\*?[]/g;

/** Throws GlobError when the pattern is malformed. */
export function compileGlob(pattern: string): Glob {
  const tokens = new PatternReader(pattern).tokens();
  return { pattern, matches: (text) => matchTokens(tokens, codePoints(text)) };
}

/** Compiles and matches once. Throws GlobError when the pattern is malformed. */
export function matchGlob(pattern: string, text: string): boolean {
  return compileGlob(pattern).matches(text);
}

/** The pattern that matches this text alone. */
export function escapeGlob(text: string): string {
  return text.replace(NEEDS_ESCAPE, "\\$&");
}

function codePoints(text: string): number[] {
  return Array.from(text, (character) => character.codePointAt(0) ?? 0);
}

class PatternReader {
  readonly #pattern: string;
  readonly #points: readonly number[];
  #next = 0;

  constructor(pattern: string) {
    this.#pattern = pattern;
    this.#points = codePoints(pattern);
  }

  tokens(): Token[] {
    const tokens: Token[] = [];
    while (this.#next < this.#points.length) {
      tokens.push(this.#token());
    }
    return tokens;
  }

  #token(): Token {
    const point = this.#take("it ends too early");
    switch (String.fromCodePoint(point)) {
      case "*":
        return { kind: "star" };
      case "?":
        return { kind: "any" };
      case "[":
        return this.#characterClass();
      case "\\":
        return { kind: "literal", point: this.#take('nothing follows the last "\\"') };
      default:
        return { kind: "literal", point };
    }
  }

  #characterClass(): Token {
    const negated = this.#skip("^");
    const ranges: CharacterRange[] = [];
    do {
      const low = this.#classCharacter();
      const high = this.#skip("-") ? this.#classCharacter() : low;
      ranges.push({ low, high });
    } while (!this.#skip("]"));
    return { kind: "class", negated, ranges };
  }

  #classCharacter(): number {
    const point = this.#take('a "[" is not closed by "]"');
    switch (String.fromCodePoint(point)) {
      case "-":
      case "]":
        throw new GlobError(this.#pattern, `"${String.fromCodePoint(point)}" inside "[…]" needs a "\\" before it`);
      case "\\":
        return this.#take('nothing follows the last "\\"');
      default:
        return point;
    }
  }

  #take(problem: string): number {
    const point = this.#points[this.#next];
    if (point === undefined) {
      throw new GlobError(this.#pattern, problem);
    }
    this.#next += 1;
    return point;
  }

  #skip(character: string): boolean {
    if (this.#points[this.#next] !== character.codePointAt(0)) {
      return false;
    }
    this.#next += 1;
    return true;
  }
}

function matchTokens(tokens: readonly Token[], text: readonly number[]): boolean {
  let tokenIndex = 0;
  let textIndex = 0;
  /** Where to go on after the latest star took one character more. */
  let retry: { tokenIndex: number; textIndex: number } | undefined;
  while (tokenIndex < tokens.length || textIndex < text.length) {
    const token = tokens[tokenIndex];
    const point = text[textIndex];
    if (token?.kind === "star") {
      retry = { tokenIndex: tokenIndex + 1, textIndex };
      tokenIndex += 1;
    } else if (token !== undefined && point !== undefined && accepts(token, point)) {
      tokenIndex += 1;
      textIndex += 1;
    } else {
      const swallowed = retry === undefined ? undefined : text[retry.textIndex];
      if (retry === undefined || swallowed === undefined || swallowed === SLASH) {
        return false;
      }
      retry = { tokenIndex: retry.tokenIndex, textIndex: retry.textIndex + 1 };
      tokenIndex = retry.tokenIndex;
      textIndex = retry.textIndex;
    }
  }
  return true;
}

function accepts(token: Exclude<Token, { kind: "star" }>, point: number): boolean {
  switch (token.kind) {
    case "any":
      return point !== SLASH;
    case "literal":
      return point === token.point;
    case "class":
      return token.ranges.some(({ low, high }) => low <= point && point <= high) !== token.negated;
  }
}
