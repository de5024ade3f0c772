/**
 * Colours, for eyes only: on a terminal, and only where nobody has asked for none.
 *
 * Idea. As systemctl decides it: SYSTEMD_COLORS has the last word, then NO_COLOR and TERM=dumb say no. What is no terminal gets none,
 * whatever the environment says.
 *
 * @module
 */
import type { Environment } from "../global-flags.ts";

export type Tone = "bad" | "warning" | "good" | "faint" | "bold";

const CODES: Readonly<Record<Tone, string>> = { bad: "1;31", warning: "33", good: "32", faint: "2", bold: "1" };

/** Returns the text, painted or as it is. */
export type Paint = (tone: Tone | null, text: string) => string;

const PLAIN: Paint = (_tone, text) => text;
const PAINTED: Paint = (tone, text) => (tone === null ? text : `\x1b[${CODES[tone]}m${text}\x1b[0m`);

/** @param isTerminal Of the stream that the text goes to. */
export function paintFor(isTerminal: boolean, environment: Environment): Paint {
  return isTerminal && wantsColours(environment) ? PAINTED : PLAIN;
}

function wantsColours({ SYSTEMD_COLORS, NO_COLOR, TERM }: Environment): boolean {
  const word = (SYSTEMD_COLORS ?? "").toLowerCase();
  if (["0", "no", "n", "false", "f", "off"].includes(word)) return false;
  if (["1", "yes", "y", "true", "t", "on", "16", "256"].includes(word)) return true;
  return (NO_COLOR ?? "") === "" && TERM !== "dumb";
}

/** systemd's words for a unit's active state, as systemctl tints them in its lists. */
export function activeTone(state: string): Tone | null {
  if (state === "failed") return "bad";
  return state.endsWith("ing") ? "warning" : null;
}
