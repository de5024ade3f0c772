/**
 * systemctl's status text with the colours that systemctl would have given it on a terminal of its own.
 *
 * @module
 */
import { activeTone, type Paint, type Tone } from "./colour.ts";

const DOTS: Readonly<Record<string, Tone>> = { "●": "good", "↻": "good", "×": "bad" };

export function paintStatus(text: string, paint: Paint): string {
  return text
    .replace(/^[●↻×]/gmu, (dot) => paint(DOTS[dot] ?? null, dot))
    .replace(/^( *Active: )(\S+(?: \([^)]*\))?)/gm, (_, label: string, state: string) => {
      const word = state.split(" ", 1)[0] ?? "";
      return label + paint(word === "active" ? "good" : activeTone(word), state);
    });
}
