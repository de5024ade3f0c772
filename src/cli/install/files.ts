/**
 * Which files flt consists of on a host, and where they go: the same list for `flt install` and for the Debian package.
 *
 * Idea. The unit files are those of examples/, the manual and the completions are made from the tables; only the places differ.
 *
 * Not here. Whether a file may be replaced (plan.ts), how the package is packed (scripts/deb).
 *
 * @module
 */
import { gzipSync } from "node:zlib";
import service from "../../../examples/flt.service" with { type: "text" };
import socket from "../../../examples/flt.socket" with { type: "text" };
import sysusers from "../../../examples/flt.sysusers.conf" with { type: "text" };
import { sampleConfigFile } from "../../config/help.ts";
import { DEFAULT_CONFIG_PATH } from "../../config/load.ts";
import { encodeText } from "../../lib/text.ts";
import { VERSION } from "../../lib/version.ts";
import type { Command } from "../command.ts";
import { SCRIPTS } from "../completion/scripts.ts";
import { manualPages } from "../manual/index.ts";

export interface WantedFile {
  readonly path: string;
  readonly mode: number;
  readonly content: Uint8Array;
  /** People change it: what they have changed stays. */
  readonly isSettings: boolean;
}

/** Folders, but for the file of systemd-sysusers. */
export interface Layout {
  readonly executables: string;
  readonly units: string;
  readonly sysusersFile: string;
  readonly manual: string;
  readonly bash: string;
  readonly zsh: string;
  readonly fish: string;
}

/** Where an administrator puts what no package manager looks after. */
export function hostLayout(prefix: string): Layout {
  return {
    executables: `${prefix}/bin`,
    units: "/etc/systemd/system",
    sysusersFile: "/etc/sysusers.d/flt.conf",
    manual: `${prefix}/share/man`,
    bash: `${prefix}/share/bash-completion/completions`,
    zsh: `${prefix}/share/zsh/site-functions`,
    fish: `${prefix}/share/fish/vendor_completions.d`,
  };
}

export const PACKAGE_LAYOUT: Layout = {
  executables: "/usr/bin",
  units: "/usr/lib/systemd/system",
  sysusersFile: "/usr/lib/sysusers.d/flt.conf",
  manual: "/usr/share/man",
  bash: "/usr/share/bash-completion/completions",
  zsh: "/usr/share/zsh/vendor-completions",
  fish: "/usr/share/fish/vendor_completions.d",
};

/** The executable's place in the unit file as it stands in examples/. */
const EXAMPLE_EXECUTABLE = "/usr/local/bin/flt";
const FILE_MODE = 0o644;
const PROGRAM_MODE = 0o755;

/** Every file but the executable, which is large and not always needed. */
export function textFiles(layout: Layout, commands: readonly Command[], version = VERSION): WantedFile[] {
  const settings = (path: string, text: string): WantedFile => file(path, encodeText(text), true);
  const text = (path: string, content: string): WantedFile => file(path, encodeText(content), false);
  const pages = manualPages(commands, version).map(({ fileName, section, roff }) =>
    file(`${layout.manual}/man${section}/${fileName}.gz`, gzipSync(encodeText(roff), { level: 9 }), false),
  );
  return [
    settings(`${layout.units}/flt.service`, service.replaceAll(EXAMPLE_EXECUTABLE, executablePath(layout))),
    settings(`${layout.units}/flt.socket`, socket),
    settings(layout.sysusersFile, sysusers),
    settings(DEFAULT_CONFIG_PATH, `${sampleConfigFile().trimEnd()}\n`),
    text(`${layout.bash}/flt`, SCRIPTS.bash),
    text(`${layout.zsh}/_flt`, SCRIPTS.zsh),
    text(`${layout.fish}/flt.fish`, SCRIPTS.fish),
    ...pages,
  ];
}

export function executableFile(layout: Layout, content: Uint8Array): WantedFile {
  return { path: executablePath(layout), mode: PROGRAM_MODE, content, isSettings: false };
}

export function executablePath(layout: Layout): string {
  return `${layout.executables}/flt`;
}

function file(path: string, content: Uint8Array, isSettings: boolean): WantedFile {
  return { path, mode: FILE_MODE, content, isSettings };
}
