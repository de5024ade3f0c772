/**
 * The commands that README.md shows, for the tests that run them as they stand there.
 *
 * @module
 */
import { readFileSync } from "node:fs";

const README = `${import.meta.dir}/../../../README.md`;

export interface ReadmeBlock {
  readonly heading: string;
  /** Its place among the blocks of commands below the heading, from 0. */
  readonly index: number;
  readonly text: string;
}

/** Blocks for a shell, and transcripts, whose commands begin with "$ ". Pictures and output are not among them. */
export function readmeBlocks(): ReadmeBlock[] {
  const blocks: ReadmeBlock[] = [];
  const counts = new Map<string, number>();
  const pattern = /^#+ (.*)$|^( *)```(\w*)\n([\s\S]*?)^ *```$/gm;
  let heading = "";
  for (const [, title, indent = "", language, body = ""] of readFileSync(README, "utf8").matchAll(pattern)) {
    if (title !== undefined) heading = title;
    else if (language === "sh" || /^\s*\$ /m.test(body)) {
      const index = counts.get(heading) ?? 0;
      counts.set(heading, index + 1);
      blocks.push({ heading, index, text: body.replaceAll(new RegExp(`^${indent}`, "gm"), "") });
    }
  }
  return blocks;
}

export function readmeBlock(heading: string, index: number): string {
  const found = readmeBlocks().find((block) => block.heading === heading && block.index === index);
  if (found === undefined) throw new Error(`Find block ${index} below "${heading}" in README.md: it is not there`);
  return found.text;
}
