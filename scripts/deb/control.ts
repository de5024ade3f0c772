/**
 * The package's own words: control, conffiles, checksums, Debian's changelog.
 *
 * @module
 */
import { createHash } from "node:crypto";

export interface PackedFile {
  /** Without the leading slash. */
  readonly path: string;
  readonly mode: number;
  readonly content: Uint8Array;
}

/**
 * Who packs it for others names themselves (DEBFULLNAME, DEBEMAIL). Without that it is nobody's address, by RFC 2606: Debian's lintian takes a
 * host that is "localhost" for an error, and an address that somebody else could have would be worse.
 */
const MAINTAINER = "flt maintainers <maintainers@flt.invalid>";

/** Debian's names of the architectures that flt is built for. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

export function architecture(): string {
  const found = ARCHITECTURES[process.arch];
  if (found === undefined)
    throw new Error(`Pack flt: Debian's name of architecture "${process.arch}" is not known here`);
  return found;
}

export function maintainer(env: Readonly<Record<string, string | undefined>>): string {
  const { DEBFULLNAME: name, DEBEMAIL: email } = env;
  return name !== undefined && email !== undefined ? `${name} <${email}>` : MAINTAINER;
}

/** The newest glibc that the executable asks for by a versioned symbol. */
export function glibcVersion(executable: Uint8Array): string {
  const minors = [
    ...Buffer.from(executable)
      .toString("latin1")
      .matchAll(/GLIBC_2\.(\d+)\0/g),
  ].map(([, minor]) => Number(minor));
  if (minors.length === 0) throw new Error("Pack flt: the executable names no version of glibc");
  return `2.${Math.max(...minors)}`;
}

export function controlFile(version: string, files: readonly PackedFile[], glibc: string, author: string): string {
  const kib = files.reduce((sum, { content }) => sum + Math.ceil(content.length / 1024), 0);
  return `Package: flt
Version: ${version}
Section: admin
Priority: optional
Architecture: ${architecture()}
Maintainer: ${author}
Installed-Size: ${kib}
Depends: libc6 (>= ${glibc}), systemd (>= 247)
Recommends: dbus
Suggests: openssh-client
Description: systemd for a cluster, in one executable
 flt runs systemd units on a cluster of hosts as systemctl runs them on one: by
 name. A unit goes to a machine that fits and moves when that machine dies; the
 daemon's own restarts, upgrades and failures touch no unit.
 .
 It speaks fleet: the unit files, commands and HTTP API of CoreOS fleet, on a
 replicated store of its own. No etcd is needed.
`;
}

/** What dpkg asks about before it replaces it. */
export function conffiles(files: readonly PackedFile[]): string {
  return files
    .filter(({ path }) => path.startsWith("etc/"))
    .map(({ path }) => `/${path}\n`)
    .join("");
}

export function checksums(files: readonly PackedFile[]): string {
  return files
    .filter(({ path }) => !path.startsWith("etc/"))
    .map(({ path, content }) => `${createHash("md5").update(content).digest("hex")}  ${path}\n`)
    .join("");
}

/** One entry: what has changed is in the project's own change log, which is packed beside it. */
export function debianChangelog(version: string, author: string, epochSeconds: number): string {
  // "Sat, 21 Nov 2026 06:26:23 GMT" but for the zone's name.
  const date = new Date(epochSeconds * 1000).toUTCString().replace("GMT", "+0000");
  return `flt (${version}) unstable; urgency=medium\n\n  * See /usr/share/doc/flt/NEWS.md.gz.\n\n -- ${author}  ${date}\n`;
}
