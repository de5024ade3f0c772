/**
 * Puts flt on a host and takes it away: plans, then acts, then tells systemd.
 *
 * Invariants.
 * - A workload is stopped by nothing here but `--uninstall --now`, which asks for it.
 * - Whatever is refused is refused before the first file is touched.
 * - The data of the daemon (/var/lib/flt) is never touched.
 *
 * @module
 */
import { dirname } from "node:path";
import { DEFAULT_CONFIG_PATH } from "../../config/load.ts";
import { encodeText } from "../../lib/text.ts";
import { CliError, type Command } from "../command.ts";
import { executableFile, hostLayout, textFiles } from "./files.ts";
import { planInstall, planRemoval, type Step } from "./plan.ts";
import type { InstallHost } from "./port.ts";
import {
  EMPTY_RECORD,
  formatRecord,
  hashOf,
  type InstallRecord,
  joinRecords,
  parseRecord,
  RECORD_PATH,
} from "./record.ts";

export interface InstallOptions {
  readonly prefix: string;
  readonly isDryRun: boolean;
  /** Installing: start the service. Removing: stop it. */
  readonly isNow: boolean;
}

const SERVICE = "flt.service";
const SOCKET = "flt.socket";
/** The Debian package's, which would be hidden behind ours and come back when ours is removed. */
const PACKAGED_SERVICE = "/usr/lib/systemd/system/flt.service";
const API_SOCKET = "/run/flt.sock";
const RECORD_MODE = 0o644;

export class Installer {
  readonly #host: InstallHost;
  readonly #options: InstallOptions;
  readonly #say: (line: string) => void;

  constructor(host: InstallHost, options: InstallOptions, say: (line: string) => void) {
    this.#host = host;
    this.#options = options;
    this.#say = say;
  }

  async install(commands: readonly Command[]): Promise<void> {
    const host = this.#host;
    this.#checkHost("install");
    if (this.#isPackaged()) {
      throw new CliError(
        `Cannot install flt: ${PACKAGED_SERVICE} is there, so flt is on this host as a package. Upgrade the package, or remove it first`,
      );
    }
    const program = host.executable();
    if (program === null) {
      throw new CliError(
        "Cannot install flt: this is not the compiled program. Build it with scripts/build and run dist/flt",
      );
    }
    const layout = hostLayout(this.#options.prefix);
    const wanted = [executableFile(layout, program), ...textFiles(layout, commands)];
    const record = this.#readRecord();
    const steps = planInstall(wanted, record, (path) => host.read(path));
    const changes = steps.filter(({ kind }) => kind === "create" || kind === "update" || kind === "remove");
    for (const step of steps) this.#tell(step);
    const wasActive = await this.#isActive(SERVICE);
    if (changes.length === 0 && this.#knowsAll(steps, record)) this.#say("Nothing to do: flt is installed");
    else if (!this.#options.isDryRun) {
      this.#apply(steps, record);
      await this.#must(["systemd-sysusers"]);
      await this.#must(["systemctl", "daemon-reload"]);
    }
    await this.#startOrSay(wasActive, changes.length > 0);
  }

  async uninstall(): Promise<void> {
    this.#checkHost("uninstall");
    const record = this.#readRecord();
    if (record.hashes.size === 0) {
      this.#say("Nothing to do: flt install has put nothing here");
      return;
    }
    const steps = planRemoval(record, (path) => this.#host.read(path));
    if (this.#isPackaged()) {
      // The package's service is behind ours and takes over; the configuration is the package's, too.
      await this.#removeAll(
        steps.filter((step) => !("path" in step && step.path === DEFAULT_CONFIG_PATH)),
        record,
      );
      this.#say("Next: systemctl restart flt, if it runs (from now on the package's; units run on)");
      return;
    }
    const isActive = (await this.#isActive(SERVICE)) || (await this.#isActive(SOCKET));
    if (isActive && !this.#options.isNow) {
      throw new CliError(
        `Cannot uninstall flt: ${SERVICE} runs. Stop it first, which gives this host's units to the other machines: ` +
          `systemctl disable --now ${SERVICE} ${SOCKET}; or let --uninstall --now do it`,
      );
    }
    if (!this.#options.isDryRun) {
      await this.#must(["systemctl", "disable", ...(isActive ? ["--now"] : []), SERVICE, SOCKET]);
    } else if (isActive) this.#say(`Would stop ${SERVICE}, which gives this host's units to the other machines`);
    await this.#removeAll(steps, record);
    await this.#removeSocket();
    this.#say("Left: /var/lib/flt, with this machine's part of the cluster's store, and the group flt");
  }

  /** systemd leaves the file of a socket that it closes, and so does a daemon that was killed. One that somebody started by hand has its own. */
  async #removeSocket(): Promise<void> {
    if (!(await this.#host.isDeadSocket(API_SOCKET))) return;
    this.#tell({ kind: "remove", path: API_SOCKET });
    if (!this.#options.isDryRun) this.#host.remove(API_SOCKET);
  }

  async #removeAll(steps: readonly Step[], record: InstallRecord): Promise<void> {
    for (const step of steps) this.#tell(step);
    if (this.#options.isDryRun) return;
    this.#remove(steps, record);
    this.#host.remove(RECORD_PATH);
    this.#host.removeEmptyFolder(dirname(RECORD_PATH));
    await this.#must(["systemctl", "daemon-reload"]);
  }

  #isPackaged(): boolean {
    return this.#host.read(PACKAGED_SERVICE) !== null;
  }

  #checkHost(what: string): void {
    if (!this.#host.runsSystemd()) {
      throw new CliError(`Cannot ${what} flt: systemd does not run this host, and flt runs units through it`);
    }
    if (!this.#options.isDryRun && !this.#host.isRoot()) {
      throw new CliError(`Cannot ${what} flt: it needs root. --dry-run says what would be done`);
    }
  }

  #readRecord(): InstallRecord {
    const content = this.#host.read(RECORD_PATH);
    return content === null ? EMPTY_RECORD : parseRecord(content);
  }

  #apply(steps: readonly Step[], before: InstallRecord): void {
    const folders = new Set(before.folders);
    const own = hashesAfter(steps, before);
    this.#writeRecord(joinRecords(before, { hashes: own, folders }));
    for (const step of steps) {
      if (step.kind !== "create" && step.kind !== "update") continue;
      const made = this.#host.write(step.file.path, step.file.content, step.file.mode);
      if (made !== null) folders.add(made);
    }
    this.#remove(steps, before);
    this.#writeRecord({ hashes: own, folders });
  }

  #knowsAll(steps: readonly Step[], { hashes }: InstallRecord): boolean {
    return steps.every((step) => !("file" in step) || hashes.has(step.file.path));
  }

  #writeRecord(record: InstallRecord): void {
    this.#host.write(RECORD_PATH, encodeText(formatRecord(record)), RECORD_MODE);
  }

  /** The files, and then the folders that were made for them and hold nothing else. */
  #remove(steps: readonly Step[], { folders }: InstallRecord): void {
    const paths = steps.flatMap((step) => (step.kind === "remove" ? [step.path] : []));
    for (const path of paths) this.#host.remove(path);
    for (const path of paths) {
      let folder = dirname(path);
      while ([...folders].some((made) => folder === made || folder.startsWith(`${made}/`))) {
        if (!this.#host.removeEmptyFolder(folder)) break;
        folder = dirname(folder);
      }
    }
  }

  #tell(step: Step): void {
    const will = (done: string, would: string): string => (this.#options.isDryRun ? `Would ${would}` : done);
    switch (step.kind) {
      case "create":
        return this.#say(`${will("Created", "create")} ${step.file.path}`);
      case "update":
        return this.#say(`${will("Updated", "update")} ${step.file.path}`);
      case "remove":
        return this.#say(`${will("Removed", "remove")} ${step.path}`);
      case "keep":
        return this.#say(
          `${will("Kept", "keep")} ${step.file.path}: it was changed here. To have the new one, remove it first`,
        );
      case "leave":
        return this.#say(`${will("Kept", "keep")} ${step.path}: it was changed here`);
      case "same":
    }
  }

  async #startOrSay(wasActive: boolean, isChanged: boolean): Promise<void> {
    const { isNow, isDryRun } = this.#options;
    if (isNow && !isDryRun) {
      await this.#must(["systemctl", "enable", SERVICE]);
      if (wasActive && isChanged) await this.#must(["systemctl", "restart", SERVICE]);
      else if (!wasActive) await this.#must(["systemctl", "start", SERVICE]);
      this.#say(
        wasActive ? (isChanged ? "Restarted flt.service; units run on" : "flt.service runs") : "Started flt.service",
      );
    } else if (isNow) {
      this.#say(`Would ${wasActive ? "restart" : "enable and start"} ${SERVICE}`);
    } else if (wasActive && isChanged) {
      this.#say("Next: systemctl restart flt (units run on)");
    } else if (!wasActive) {
      this.#say(
        "Next: say in /etc/flt/flt.conf which cluster this host is of, if of any, then: systemctl enable --now flt",
      );
    }
  }

  async #isActive(unit: string): Promise<boolean> {
    return (await this.#host.run(["systemctl", "is-active", unit])).stdout.trim() === "active";
  }

  async #must(command: readonly string[]): Promise<void> {
    const { status, stderr } = await this.#host.run(command);
    if (status === 0) return;
    throw new CliError(
      `Cannot finish: "${command.join(" ")}" ended with status ${status}: ${stderr.trim() || "it said nothing"}`,
    );
  }
}

/** Of what was kept as it is, the hash that it would have had: it is known, and not taken for ours. */
function hashesAfter(steps: readonly Step[], before: InstallRecord): Map<string, ReadonlySet<string>> {
  const hashes = new Map<string, ReadonlySet<string>>();
  for (const step of steps) {
    if (!("file" in step)) continue;
    const { path, content } = step.file;
    const earlier = step.kind === "keep" ? (before.hashes.get(path) ?? []) : [];
    hashes.set(path, new Set([...earlier, hashOf(content)]));
  }
  return hashes;
}
