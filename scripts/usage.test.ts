/**
 * Each script says what it is for, and does nothing else, when it is asked with --help.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";

const scripts = readdirSync(import.meta.dir, { withFileTypes: true }).filter((entry) => {
  return entry.isFile() && readFileSync(`${import.meta.dir}/${entry.name}`, "utf8").startsWith("#!/usr/bin/env bash\n");
});

test.each(scripts.map(({ name }) => name))("scripts/%s --help", (name) => {
  const [, ...lines] = readFileSync(`${import.meta.dir}/${name}`, "utf8").split("\n");
  const head = lines.slice(
    0,
    lines.findIndex((line) => !line.startsWith("#")),
  );
  for (const flag of ["--help", "-h"]) {
    const { exitCode, stdout, stderr } = Bun.spawnSync([`scripts/${name}`, flag], { cwd: `${import.meta.dir}/..` });
    expect([exitCode, stderr.toString()]).toEqual([0, ""]);
    expect(stdout.toString()).toBe(head.map((line) => `${line.replace(/^# ?/, "")}\n`).join(""));
  }
});
