/**
 * A host in memory that flt can be installed on: files with modes, folders, and a systemd that notes what it is told.
 *
 * @module
 */
import { dirname } from "node:path";
import type { CommandResult, InstallHost } from "../../src/cli/install/port.ts";
import { decodeText, encodeText } from "../../src/lib/text.ts";

export class FakeInstallHost implements InstallHost {
  readonly files = new Map<string, { content: Uint8Array; mode: number }>();
  readonly folders = new Set(["/", "/usr", "/usr/local", "/usr/local/bin", "/etc", "/etc/systemd/system", "/var/lib"]);
  readonly commands: string[] = [];
  readonly active = new Set<string>();
  root = true;
  systemd = true;
  program: Uint8Array | null = encodeText("program 1");
  /** So many writes succeed, and then the disk is full. */
  writesLeft = Number.POSITIVE_INFINITY;

  isRoot(): boolean {
    return this.root;
  }

  runsSystemd(): boolean {
    return this.systemd;
  }

  executable(): Uint8Array | null {
    return this.program;
  }

  read(path: string): Uint8Array | null {
    return this.files.get(path)?.content ?? null;
  }

  write(path: string, content: Uint8Array, mode: number): string | null {
    if (this.writesLeft-- <= 0) throw new Error(`No space for ${path}`);
    let made: string | null = null;
    for (let folder = dirname(path); !this.folders.has(folder); folder = dirname(folder)) made = folder;
    for (let folder = dirname(path); !this.folders.has(folder); folder = dirname(folder)) this.folders.add(folder);
    this.files.set(path, { content, mode });
    return made;
  }

  remove(path: string): void {
    this.files.delete(path);
  }

  async isDeadSocket(path: string): Promise<boolean> {
    return this.files.get(path)?.content.length === 0;
  }

  removeEmptyFolder(path: string): boolean {
    const isFull = [...this.files.keys(), ...this.folders].some((each) => each.startsWith(`${path}/`));
    return !isFull && this.folders.delete(path);
  }

  async run(command: readonly string[]): Promise<CommandResult> {
    const [, verb, ...words] = command;
    const units = words.filter((word) => !word.startsWith("--"));
    if (verb === "is-active") {
      const isActive = this.active.has(units[0] ?? "");
      return { status: isActive ? 0 : 3, stdout: isActive ? "active\n" : "inactive\n", stderr: "" };
    }
    this.commands.push(command.join(" "));
    for (const unit of units) {
      if (verb === "start") this.active.add(unit);
      if (verb === "disable" && words.includes("--now")) this.active.delete(unit);
    }
    return { status: 0, stdout: "", stderr: "" };
  }

  text(path: string): string | null {
    const file = this.files.get(path);
    return file === undefined ? null : decodeText(file.content);
  }

  /** An editor in somebody's hands. */
  edit(path: string, text: string): void {
    this.files.set(path, { content: encodeText(text), mode: 0o644 });
  }
}
