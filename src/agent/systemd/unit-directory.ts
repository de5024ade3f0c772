/**
 * UnitDirectory: the unit files that the agent holds, and which of them were launched.
 *
 *   /run/flt/units/hello.service            the unit file
 *   /run/flt/units/.launched/hello.service  empty: systemd was told to start it
 *   /run/flt/units/.fenced/hello.service    empty: the fence stops it (fence.ts)
 *   /run/flt/units/.fence.sh, .fence-fired  the fence's script, and its word that it has begun
 *   /run/flt/units/.reserve/                room for the fence's timer when there is none
 *   /run/flt/units/.tmp/                    files being written
 *   /run/flt/units/.ordering/hello.service  empty: systemd is being told to start or to stop it; whether it heard nobody knows yet
 *
 * Idea. The directory lives as long as systemd's own memory does (both are gone after a reboot), so it is the agent's
 * record of what it did: nothing else has to be asked after a restart of the daemon.
 *
 * Invariants.
 * - A file is there whole or not at all: it is written beside and renamed.
 * - An order that is on its way is marked before it is given: one whose answer never comes is given again. What there is no room to
 *   mark is not ordered; a stop needs none.
 * - Only names of units are read, written or removed, and only in this directory.
 * - A file is never world-writable; systemd reads it as root, anyone may look at it, as in systemd's own directories.
 *
 * Not here. Linking (systemd-manager.ts), whose name it is (ownership.ts).
 *
 * @module
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { reasonOf } from "../../lib/log.ts";
import { isUnitName } from "../../model/unit-name.ts";
import { type HeldUnit, UnitManagerError } from "../unit-manager.ts";
import { isFull, isMissing, keepFile } from "./keep-file.ts";

/** NAME_MAX of Linux; systemd itself takes no longer names (UNIT_NAME_MAX). */
const NAME_MAX_BYTES = 255;
const LAUNCHED = ".launched";
const ORDERING = ".ordering";
const FENCED = ".fenced";
const FENCE_SCRIPT = ".fence.sh";
const FENCE_FIRED = ".fence-fired";
const TEMPORARY = ".tmp";
const RESERVE = ".reserve";
/** systemd writes one small file for a timer, and a link or two beside it: as many inodes, each with a page (tmpfs). */
const RESERVE_FILES = 4;
const PAGE = "\n".repeat(4096);

export class UnitDirectory {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Makes the directory, and removes what an earlier process left half written. */
  prepare(): void {
    this.#guard("prepare", () => {
      rmSync(join(this.path, TEMPORARY), { recursive: true, force: true });
      this.#makeFolders();
    });
  }

  get exists(): boolean {
    return existsSync(this.path);
  }

  /** Its unit file is there. */
  has(name: string): boolean {
    return existsSync(this.fileOf(name));
  }

  /** Units with a mark of an order, whether their files are there or not. */
  marked(): ReadonlySet<string> {
    return this.#guard("read", () => {
      const marks = [LAUNCHED, ORDERING].flatMap((folder) => this.#namesIn(folder));
      return new Set(marks.filter(isUnitName));
    });
  }

  /** null: an order was on its way. */
  isLaunched(name: string): boolean | null {
    return this.#has(ORDERING, name) ? null : this.#has(LAUNCHED, name);
  }

  list(): readonly HeldUnit[] {
    return this.#guard("read", () => {
      const [launched, ordering, fenced] = [LAUNCHED, ORDERING, FENCED].map((folder) => {
        return new Set(this.#namesIn(folder));
      }) as [Set<string>, Set<string>, Set<string>];
      const held: HeldUnit[] = [];
      for (const entry of readdirSync(this.path, { withFileTypes: true })) {
        if (!entry.isFile() || !isUnitName(entry.name)) continue;
        const hash = createHash("sha1")
          .update(readFileSync(join(this.path, entry.name)))
          .digest("hex");
        const { name } = entry;
        held.push({ name, hash, launched: ordering.has(name) ? null : launched.has(name), fenced: fenced.has(name) });
      }
      return held.sort((a, b) => (a.name < b.name ? -1 : 1));
    });
  }

  /** The path of a unit's file. Throws `rejected` for a name that no file can have. */
  fileOf(name: string): string {
    if (!isUnitName(name) || Buffer.byteLength(name) > NAME_MAX_BYTES) {
      throw new UnitManagerError("rejected", `Cannot hold "${name}": systemd takes no such unit name`);
    }
    return join(this.path, name);
  }

  /** The unit file's text; undefined: not held. */
  read(name: string): string | undefined {
    const file = this.fileOf(name);
    return this.#guard("read", () => {
      try {
        return readFileSync(file, "utf8");
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    });
  }

  write(name: string, text: string): void {
    const file = this.fileOf(name);
    const temporary = join(this.path, TEMPORARY, name);
    this.#guard("write", () => {
      try {
        this.#create(temporary, text);
        renameSync(temporary, file);
      } catch (error) {
        rmSync(temporary, { force: true });
        throw error;
      }
    });
  }

  remove(name: string): void {
    const file = this.fileOf(name);
    this.#guard("write", () => {
      for (const folder of [ORDERING, LAUNCHED, FENCED]) rmSync(join(this.path, folder, name), { force: true });
      rmSync(file, { force: true });
    });
  }

  /** Before a start or a stop is ordered. */
  beginOrder(name: string, verb: "start" | "stop"): void {
    this.fileOf(name);
    const launched = join(this.path, LAUNCHED, name);
    if (this.#has(ORDERING, name)) return;
    if (this.#has(LAUNCHED, name)) this.#guard("write", () => renameSync(launched, join(this.path, ORDERING, name)));
    else if (verb === "start") this.#mark(ORDERING, name, true);
  }

  /** After systemd's answer. */
  endOrder(name: string, isLaunched: boolean): void {
    this.fileOf(name);
    const mark = join(this.path, ORDERING, name);
    this.#guard("write", () => {
      if (isLaunched && existsSync(mark)) renameSync(mark, join(this.path, LAUNCHED, name));
      else rmSync(mark, { force: true });
    });
  }

  setLaunched(name: string, launched: boolean): void {
    this.#mark(LAUNCHED, name, launched);
    this.#mark(ORDERING, name, false);
  }

  setFenced(name: string, fenced: boolean): void {
    this.#mark(FENCED, name, fenced);
  }

  isFenced(name: string): boolean {
    return this.#has(FENCED, name);
  }

  /** Also when somebody took it away. @returns Its path. */
  keepFenceScript(text: string): string {
    const path = join(this.path, FENCE_SCRIPT);
    this.#guard("write", () => this.#intoFolders(() => keepFile(path, text)));
    return path;
  }

  fenceFired(): boolean {
    return existsSync(join(this.path, FENCE_FIRED));
  }

  forgetFired(): void {
    this.#guard("write", () => rmSync(join(this.path, FENCE_FIRED), { force: true }));
  }

  /** Takes room for a while in which there is none. */
  keepReserve(): void {
    this.#guard("write", () => {
      try {
        this.#intoFolders(() => {
          for (let index = 0; index < RESERVE_FILES; index++) keepFile(join(this.path, RESERVE, `${index}`), PAGE);
        });
      } catch (error) {
        // That is what it is for: whoever needed room has it, and at the next time there may be some again.
        if (!isFull(error)) throw error;
      }
    });
  }

  /** @returns Whether there was any. */
  releaseReserve(): boolean {
    return this.#guard("write", () => {
      const kept = this.#namesIn(RESERVE);
      for (const name of kept) rmSync(join(this.path, RESERVE, name), { force: true });
      return kept.length > 0;
    });
  }

  #has(folder: string, name: string): boolean {
    return existsSync(join(this.path, folder, name));
  }

  #mark(folder: string, name: string, isSet: boolean): void {
    const mark = join(this.path, folder, name);
    this.fileOf(name);
    this.#guard("write", () => {
      if (isSet) this.#create(mark, "");
      else rmSync(mark, { force: true });
    });
  }

  /** Also when somebody took the folder away: it is there afterwards. */
  #namesIn(folder: string): string[] {
    try {
      return readdirSync(join(this.path, folder));
    } catch (error) {
      if (!isMissing(error)) throw error;
      this.#makeFolders();
      return [];
    }
  }

  #create(file: string, text: string): void {
    this.#intoFolders(() => writeFileSync(file, text, { mode: 0o644 }));
  }

  /** Also when somebody took the folders away. */
  #intoFolders(write: () => void): void {
    try {
      write();
    } catch (error) {
      if (!isMissing(error)) throw error;
      this.#makeFolders();
      write();
    }
  }

  #makeFolders(): void {
    for (const folder of ["", TEMPORARY, LAUNCHED, ORDERING, FENCED, RESERVE]) {
      mkdirSync(join(this.path, folder), { recursive: true, mode: 0o755 });
    }
  }

  #guard<T>(verb: string, work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw new UnitManagerError("directory", `Cannot ${verb} the units directory "${this.path}": ${reasonOf(error)}`);
    }
  }
}
