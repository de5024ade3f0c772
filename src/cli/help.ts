/**
 * The texts of `help`, made of what commands and flags say of themselves.
 *
 * @module
 */
import type { Command } from "./command.ts";
import type { Flag } from "./flags.ts";
import { GLOBAL_FLAGS } from "./global-flags.ts";

export function overviewHelp(program: string, commands: readonly Command[]): string {
  const width = Math.max(...commands.map((command) => command.name.length)) + 2;
  return [
    `${program}: systemd for a cluster`,
    "",
    "Usage:",
    `  ${program} [GLOBAL FLAGS] COMMAND [FLAGS] [ARGUMENTS]`,
    ...(program === "flt" ? ["  flt daemon [FLAGS]"] : []),
    "",
    "Commands (any beginning that only one of them has will do):",
    ...commands.map((command) => `  ${command.name.padEnd(width)}${command.summary}`),
    ...(program === "flt" ? [`  ${"daemon".padEnd(width)}Run a machine of the cluster (flt daemon --help)`] : []),
    "",
    "Global flags (each also as FLTCTL_NAME in the environment):",
    ...flagLines(GLOBAL_FLAGS),
    "",
    `\`${program} help COMMAND\` says more about one command.`,
    "",
  ].join("\n");
}

export function commandHelp(program: string, command: Command): string {
  return [
    command.summary,
    "",
    "Usage:",
    `  ${program} ${command.name} ${command.usage}`.trimEnd(),
    "",
    ...wrap(command.description, 100),
    "",
    "Examples:",
    ...command.examples.map((example) => `  ${program} ${example}`),
    ...(command.flags.length === 0 ? [] : ["", "Flags:", ...flagLines(command.flags)]),
    "",
    `Global flags: \`${program} help\``,
    "",
  ].join("\n");
}

function flagLines(flags: readonly Flag[]): string[] {
  const names = flags.map((flag) => {
    const short = flag.short === undefined ? "    " : `-${flag.short}, `;
    return `${short}--${flag.name}${flag.value === undefined ? "" : `=${flag.value}`}`;
  });
  const width = Math.max(...names.map((name) => name.length)) + 2;
  return flags.map((flag, index) => `  ${(names[index] ?? "").padEnd(width)}${flag.help}${fallbackText(flag)}`);
}

function fallbackText(flag: Flag): string {
  const isPlain = flag.fallback === undefined || flag.fallback === "" || flag.value === undefined;
  return isPlain ? "" : ` (default: ${flag.fallback})`;
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let current = "";
  for (const word of text.split(" ")) {
    if (current !== "" && current.length + 1 + word.length > width) {
      lines.push(current);
      current = word;
    } else current = current === "" ? word : `${current} ${word}`;
  }
  return [...lines, current];
}
