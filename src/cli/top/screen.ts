/**
 * The screen of flt top: drawn over and over in place, given back as it was.
 *
 * Invariants.
 * - However it ends, the terminal has its own screen and its cursor again.
 *
 * @module
 */
import type { CommandContext } from "../command.ts";
import type { Tone } from "../output/colour.ts";

export interface ScreenLine {
  readonly text: string;
  readonly tone: Tone | null;
}

const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const END_OF_LINE = "\x1b[K\r\n";
const CLEAR_BELOW = "\x1b[J";

export class Screen {
  readonly #context: CommandContext;

  constructor(context: CommandContext) {
    this.#context = context;
    context.world.out(ENTER);
  }

  /** Cuts what does not fit; the last line is for `footer`. */
  draw(lines: readonly ScreenLine[], footer: string): void {
    const { paint, world } = this.#context;
    const { terminal } = world;
    const { columns, rows } = terminal.size();
    const room = Math.max(1, rows - 1);
    // Painted after it is cut: what ends a colour must not be cut off.
    const shown = lines.slice(0, room).map(({ text, tone }) => paint(tone, cut(text, columns)));
    const rest = lines.length > room ? ` (${lines.length - room} more)` : "";
    const text = shown.map((line) => `${line}${END_OF_LINE}`).join("");
    world.out(`${HOME}${text}${CLEAR_BELOW}${paint("faint", cut(footer + rest, columns))}`);
  }

  close(): void {
    this.#context.world.out(LEAVE);
  }
}

function cut(line: string, columns: number): string {
  return line.length < columns ? line : line.slice(0, columns - 1);
}
