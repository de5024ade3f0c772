/**
 * Text to lines of at most some width, broken at its blanks.
 *
 * @module
 */

/**
 * @param width A word that is longer has a line of its own.
 * @param indent What every line begins with; it counts.
 */
export function wrap(text: string, width: number, indent = ""): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && indent.length + line.length + 1 + word.length > width) {
      lines.push(indent + line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, indent + line];
}
