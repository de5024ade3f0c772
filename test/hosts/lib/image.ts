/**
 * The files that a host boots with. There is no image: `/usr` is the machine's own, read-only, everything else is empty,
 * and a few directories are bound in from outside.
 *
 * Idea. What a real host keeps over a power cut (machine-id, /var/lib/flt, the journal, /etc/systemd, /etc/flt) lies
 * outside; what it loses (/run, /tmp, the rest of /var) lies in the host's memory. Services that a test host has no
 * use for are masked, which makes it boot in about a second.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { copyFile, link, mkdir, rename, symlink, writeFile } from "node:fs/promises";

const MASKED = [
  "apt-daily-upgrade.timer",
  "apt-daily.timer",
  "cryptsetup.target",
  "dev-hugepages.mount",
  "dev-mqueue.mount",
  "e2scrub_all.timer",
  "fstrim.timer",
  "getty.target",
  "integritysetup.target",
  "kmod-static-nodes.service",
  "nftables.service",
  "proc-sys-fs-binfmt_misc.automount",
  "swap.target",
  "sys-fs-fuse-connections.mount",
  "sys-kernel-config.mount",
  "sys-kernel-debug.mount",
  "sys-kernel-tracing.mount",
  "systemd-ask-password-console.path",
  "systemd-ask-password-wall.path",
  "systemd-binfmt.service",
  "systemd-firstboot.service",
  "systemd-hwdb-update.service",
  "systemd-initctl.socket",
  "systemd-journald-audit.socket",
  "systemd-logind.service",
  "systemd-machine-id-commit.service",
  "systemd-modules-load.service",
  "systemd-networkd.socket",
  "systemd-pcrphase-sysinit.service",
  "systemd-pcrphase.service",
  "systemd-random-seed.service",
  "systemd-remount-fs.service",
  "systemd-repart.service",
  "systemd-sysctl.service",
  "systemd-udevd.service",
  "systemd-udev-trigger.service",
  "systemd-update-done.service",
  "systemd-update-utmp-runlevel.service",
  "systemd-update-utmp.service",
  "systemd-user-sessions.service",
  "veritysetup.target",
];

const JOURNALD_CONF = `[Journal]
Storage=persistent
RateLimitIntervalSec=0
SystemMaxUse=128M
ForwardToConsole=no
`;

/** Hosts are torn down in a hurry: a unit that ignores SIGTERM must not hold up a shutdown for 90 s. */
const SYSTEM_CONF = `[Manager]
DefaultTimeoutStopSec=10s
`;

export interface ImageOptions {
  readonly machineId: string;
  /** Lines of /etc/flt/flt.conf; undefined: a plain systemd host without flt. */
  readonly fltConf: string | undefined;
  /** Is flt.service enabled, so that it starts at boot? */
  readonly enabled: boolean;
  /** What becomes /usr/local/bin/flt. */
  readonly binary: string;
  /** May the host change its /usr and its list of packages? It has copies that nobody else sees. */
  readonly canInstall: boolean;
}

/** What a package manager writes to, beside /etc and /run. */
const INSTALLED_TO = ["/usr", "/var/lib/dpkg"];

const EXAMPLES = `${import.meta.dir}/../../../examples`;

/** The host's files below one directory; made once, reused at each boot. */
export class Image {
  readonly directory: string;
  readonly #overlays: readonly string[];

  private constructor(directory: string, overlays: readonly string[]) {
    this.directory = directory;
    this.#overlays = overlays;
  }

  static async create(directory: string, options: ImageOptions): Promise<Image> {
    const system = `${directory}/systemd/system`;
    for (const path of [
      system,
      `${directory}/flt`,
      `${directory}/data`,
      `${directory}/journal`,
      `${directory}/sysusers`,
      `${directory}/bin`,
    ]) {
      await mkdir(path, { recursive: true });
    }
    await writeFile(`${directory}/machine-id`, `${options.machineId}\n`);
    await writeFile(`${directory}/systemd/journald.conf`, JOURNALD_CONF);
    await writeFile(`${directory}/systemd/system.conf`, SYSTEM_CONF);
    await symlink("/lib/systemd/system/multi-user.target", `${system}/default.target`);
    for (const unit of MASKED) {
      await symlink("/dev/null", `${system}/${unit}`);
    }
    if (options.fltConf !== undefined) {
      await writeFile(`${directory}/flt/flt.conf`, options.fltConf);
      await copyFile(`${EXAMPLES}/flt.service`, `${system}/flt.service`);
      await copyFile(`${EXAMPLES}/flt.sysusers.conf`, `${directory}/sysusers/flt.conf`);
      if (options.enabled) {
        await mkdir(`${system}/multi-user.target.wants`);
        await symlink("../flt.service", `${system}/multi-user.target.wants/flt.service`);
      }
    }
    // nspawn makes no parents for the places of overlays.
    const overlays = options.canInstall ? ["--tmpfs=/var/lib:mode=755"] : [];
    for (const path of options.canInstall ? INSTALLED_TO : []) {
      const upper = `${directory}/changed${path}`;
      await mkdir(upper, { recursive: true });
      overlays.push(`--overlay=${path}:${upper}:${path}`);
    }
    const image = new Image(directory, overlays);
    if (existsSync(options.binary)) await image.install(options.binary);
    return image;
  }

  /** Puts another flt in the place of the one that is there, as a package does: a running daemon keeps its file. */
  async install(binary: string): Promise<void> {
    const next = `${this.directory}/bin/.flt.new`;
    try {
      // One file for all hosts, as far as it goes: they share its pages.
      await link(binary, next);
    } catch {
      await copyFile(binary, next);
    }
    await rename(next, `${this.directory}/bin/flt`);
  }

  /** Arguments of systemd-nspawn that bind all this in. */
  binds(): string[] {
    const at = this.directory;
    const binds = [
      ...this.#overlays,
      `--bind-ro=${at}/machine-id:/etc/machine-id`,
      `--bind=${at}/systemd:/etc/systemd`,
      `--bind=${at}/journal:/var/log/journal`,
    ];
    if (this.#overlays.length === 0) {
      binds.push(
        `--bind=${at}/flt:/etc/flt`,
        `--bind-ro=${at}/sysusers:/etc/sysusers.d`,
        `--bind=${at}/data:/var/lib/flt`,
      );
    }
    if (existsSync(`${at}/bin/flt`)) binds.push(`--bind-ro=${at}/bin:/usr/local/bin`);
    return binds;
  }
}
