import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SILENT_LOG } from "../../lib/log.ts";
import { DirectoryWatch } from "./directory-watch.ts";
import { UnitDirectory } from "./unit-directory.ts";

const HELD = ["a.service", "b.service"];

let root: string;
let directory: UnitDirectory;
let watch: DirectoryWatch;
let missing: string[];
let wake: () => void;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "flt-watch-"));
  directory = new UnitDirectory(join(root, "units"));
  directory.prepare();
  for (const name of [...HELD, "other.service"]) directory.write(name, "x");
  missing = [];
  wake = () => {};
  watch = new DirectoryWatch({
    directory,
    log: SILENT_LOG,
    names: () => HELD,
    isHeld: (name) => HELD.includes(name),
    onMissing: (name) => {
      missing.push(name);
      wake();
    },
  });
  watch.open();
});
afterEach(() => {
  watch.close();
  rmSync(root, { recursive: true, force: true });
});

async function untilMissing(...names: string[]): Promise<void> {
  while (!names.every((name) => missing.includes(name))) {
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
}

test("a held unit's file that goes is told; others, and those that are written, are not", async () => {
  directory.write("a.service", "y");
  directory.remove("other.service");
  directory.remove("b.service");
  await untilMissing("b.service");
  expect(missing).toEqual(["b.service"]);
});

test("the whole directory goes, again and again: all is told, whoever makes it anew, and when", async () => {
  for (let round = 0; round < 5; round++) {
    if (round % 2 === 0) rmSync(directory.path, { recursive: true });
    else renameSync(directory.path, `${directory.path}-${round}`);
    await untilMissing(...HELD);
    for (const name of HELD) directory.write(name, "x");
    watch.open();
    await new Promise((resolve) => setTimeout(resolve, round * 5));
    missing = [];
  }
  directory.remove("a.service");
  await untilMissing("a.service");
});
