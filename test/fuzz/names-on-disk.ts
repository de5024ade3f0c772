/**
 * Names of units on their way to the disk: the folder of unit files among other files, as on a host.
 *
 * Checked of each: a name is refused, or its file lies in the folder under just that name; nothing outside of it, and no file of
 * another unit, is ever made, changed or removed.
 *
 * @module
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { UnitManagerError } from "../../src/agent/index.ts";
import { UnitDirectory } from "../../src/agent/systemd/unit-directory.ts";
import { unitName } from "./words.ts";

interface Act {
  readonly verb: "write" | "launch" | "forget" | "remove" | "read";
  readonly name: string;
}

export const acts: fc.Arbitrary<readonly Act[]> = fc.array(
  fc.record({ verb: fc.constantFrom("write", "write", "launch", "forget", "remove", "read"), name: unitName }),
  { minLength: 1, maxLength: 8 },
);

export class DiskUnderFire {
  readonly #folder = mkdtempSync(join(tmpdir(), "flt-fuzz-disk-"));

  static async open(): Promise<DiskUnderFire> {
    return new DiskUnderFire();
  }

  async close(): Promise<void> {
    rmSync(this.#folder, { recursive: true });
  }

  async check(all: readonly Act[]): Promise<void> {
    rmSync(join(this.#folder, "run"), { recursive: true, force: true });
    const units = join(this.#folder, "run", "units");
    mkdirSync(join(this.#folder, "run", "etc"), { recursive: true });
    for (const precious of ["x.service", "hello.service", "etc/x.service"]) {
      writeFileSync(join(this.#folder, "run", precious), "precious");
    }
    const directory = new UnitDirectory(units);
    directory.prepare();
    const files = new Map<string, string>();
    const marks = new Set<string>();
    for (const { verb, name } of all) act(directory, verb, name, files, marks);
    const wanted = new Map([
      ...[...files].map(([name, text]) => [`units/${name}`, text] as const),
      ...[...marks].map((name) => [`units/.launched/${name}`, ""] as const),
      ...["x.service", "hello.service", "etc/x.service"].map((name) => [name, "precious"] as const),
    ]);
    const [one, other] = [wanted, tree(join(this.#folder, "run"))].map((found) => JSON.stringify([...found].sort()));
    if (one !== other) throw new Error(`There should be ${one}, and there is ${other}`);
  }
}

/** What the directory grants is done in the maps, too; refusals have one code. */
function act(
  directory: UnitDirectory,
  verb: Act["verb"],
  name: string,
  files: Map<string, string>,
  marks: Set<string>,
): void {
  try {
    switch (verb) {
      case "write":
        directory.write(name, `of ${name}`);
        files.set(name, `of ${name}`);
        return;
      case "launch":
        directory.setLaunched(name, true);
        marks.add(name);
        return;
      case "forget":
        directory.setLaunched(name, false);
        marks.delete(name);
        return;
      case "remove":
        directory.remove(name);
        files.delete(name);
        marks.delete(name);
        return;
      case "read":
        if (directory.read(name) !== files.get(name)) throw new Error(`Read of ${name} gives something else`);
    }
  } catch (error) {
    if (!(error instanceof UnitManagerError) || error.code !== "rejected") throw error;
  }
}

function tree(folder: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) continue;
    const path = join(entry.parentPath, entry.name);
    found.set(path.slice(folder.length + 1), readFileSync(path, "utf8"));
  }
  return found;
}
