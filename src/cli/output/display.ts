/**
 * Where a command's words go: as they are; through a pager, on a terminal; or round a line that says how a wait is going.
 *
 * Idea. The command writes to a World as ever. What stands between it and the terminal is decided once, here, from what the streams are.
 *
 * Invariants.
 * - Streams that are no terminals get the command's words and nothing else.
 * - A pager is started with the first words of stdout, so that a command that only fails shows none. Who leaves it has seen enough:
 *   the command ends, and that is no failure.
 *
 * @module
 */
import type { Environment } from "../global-flags.ts";
import type { Pager } from "../terminal.ts";
import type { World } from "../world.ts";

export interface Display {
  readonly world: World;
  /** Shows a line that the next words push aside; null takes it away. Null itself: there is no terminal to show it on. */
  readonly progress: ((text: string | null) => void) | null;
  /** True once the reader has left. */
  readonly wasLeft: boolean;
  /** Resolves when the reader has seen it all. */
  close(): Promise<void>;
}

/** @param pages Whether what the command prints may be long. */
export function openDisplay(base: World, pages: boolean): Display {
  const commands = pages && base.terminal.stdout ? pagerCommands(base.environment) : [];
  if (commands.length > 0) return new PagedDisplay(base, commands);
  if (base.terminal.stderr) return new ProgressDisplay(base);
  return { world: base, progress: null, wasLeft: false, close: () => Promise.resolve() };
}

class PagedDisplay implements Display {
  readonly world: World;
  readonly progress = null;
  readonly #base: World;
  readonly #commands: readonly (readonly string[])[];
  readonly #left = new AbortController();
  /** undefined: not asked for yet; null: there is none. */
  #pager: Pager | null | undefined;

  constructor(base: World, commands: readonly (readonly string[])[]) {
    this.#base = base;
    this.#commands = commands;
    this.world = {
      ...base,
      signal: AbortSignal.any([base.signal, this.#left.signal]),
      out: (text) => {
        const pager = this.#start();
        if (pager === null) base.out(text);
        else void pager.write(text);
      },
      outBytes: async (bytes) => {
        const pager = this.#start();
        await (pager === null ? base.outBytes(bytes) : pager.write(bytes));
      },
    };
  }

  get wasLeft(): boolean {
    return this.#left.signal.aborted;
  }

  async close(): Promise<void> {
    await this.#pager?.end();
  }

  #start(): Pager | null {
    if (this.#pager !== undefined) return this.#pager;
    this.#pager = null;
    for (const command of this.#commands) {
      const pager = this.#base.terminal.startPager(command, pagerEnvironment(this.#base.environment));
      if (pager === null) continue;
      this.#pager = pager;
      pager.closed.addEventListener("abort", () => this.#left.abort(), { once: true });
      break;
    }
    return this.#pager;
  }
}

/** As systemctl chooses: SYSTEMD_PAGER, else PAGER, else what there is; "" and cat mean none. */
function pagerCommands(environment: Environment): readonly (readonly string[])[] {
  const usual = [["less"], ["more"]];
  const wish = environment.SYSTEMD_PAGER ?? environment.PAGER;
  if (wish === undefined) return usual;
  const words = wish.trim().split(/\s+/);
  if (words[0] === "" || words[0] === "cat") return [];
  // Whoever runs this for another must not be led into a program of the other's choice.
  return isSecure(environment) ? usual : [words, ...usual];
}

function pagerEnvironment(environment: Environment): Record<string, string> {
  return {
    LESS: environment.SYSTEMD_LESS ?? "FRSXMK",
    LESSCHARSET: environment.SYSTEMD_LESSCHARSET ?? "utf-8",
    ...(isSecure(environment) && { LESSSECURE: "1" }),
  };
}

/** Through sudo, unless told otherwise: no shell from inside the pager (systemctl(1), SYSTEMD_PAGERSECURE). */
function isSecure({ SYSTEMD_PAGERSECURE, SUDO_UID }: Environment): boolean {
  if (SYSTEMD_PAGERSECURE !== undefined)
    return !["0", "no", "false", "off"].includes(SYSTEMD_PAGERSECURE.toLowerCase());
  return SUDO_UID !== undefined;
}

const ERASE_LINE = "\r\x1b[K";

class ProgressDisplay implements Display {
  readonly world: World;
  readonly wasLeft = false;
  readonly #base: World;
  #shown = "";

  constructor(base: World) {
    this.#base = base;
    // What goes elsewhere than to the terminal does not meet the line.
    const erase = (): string => (base.terminal.stdout ? this.#erase() : "");
    this.world = {
      ...base,
      out: (text) => base.out(erase() + text),
      outBytes: async (bytes) => {
        const clear = erase();
        if (clear !== "") base.out(clear);
        await base.outBytes(bytes);
      },
      err: (text) => base.err(this.#erase() + text),
    };
  }

  readonly progress = (text: string | null): void => {
    const line = this.#erase() + (text === null ? "" : this.#cut(text));
    this.#shown = text ?? "";
    if (line !== "") this.#base.err(line);
  };

  close(): Promise<void> {
    this.progress(null);
    return Promise.resolve();
  }

  #erase(): string {
    const erase = this.#shown === "" ? "" : ERASE_LINE;
    this.#shown = "";
    return erase;
  }

  /** A line that wraps could not be erased. */
  #cut(text: string): string {
    const { columns } = this.#base.terminal.size();
    return text.length < columns ? text : `${text.slice(0, Math.max(0, columns - 2))}…`;
  }
}
