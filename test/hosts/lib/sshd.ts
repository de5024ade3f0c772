/**
 * A real SSH daemon in a host, and an identity that may log in there as root.
 *
 * Idea. The daemon is the machine's own, or the one that scripts/setup unpacked; either runs as a unit of the host, on its address.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { chmod, mkdir, readdir } from "node:fs/promises";
import type { Host } from "./host.ts";
import { eventually } from "./wait.ts";

const UNPACKED = `${import.meta.dir}/../../../.tools/openssh`;
const HOME = "/run/openssh";

const CONFIG = `HostKey ${HOME}/host_key
PidFile none
StrictModes no
UsePAM no
UseDNS no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
AllowAgentForwarding yes
AuthorizedKeysFile ${HOME}/authorized_keys
SetEnv PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
Subsystem sftp internal-sftp
`;

/** Makes a key pair for the host's root and returns the public half. */
export async function makeIdentity(host: Host): Promise<string> {
  await host.mustRun(["mkdir", "-p", "-m", "700", "/root/.ssh"]);
  await host.mustRun(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/.ssh/id_ed25519"]);
  return await host.mustRun(["cat", "/root/.ssh/id_ed25519.pub"]);
}

/** Runs sshd on the host; who has this public key is its root. */
export async function startSshd(host: Host, publicKey: string): Promise<void> {
  await mkdir(host.path(HOME), { recursive: true });
  await host.write(`${HOME}/authorized_keys`, publicKey);
  await host.write(`${HOME}/sshd_config`, CONFIG);
  const daemon = await daemonPath(host);
  await host.write("/run/sysusers-sshd.conf", 'u sshd - "sshd" /run/sshd\n');
  await host.mustRun(["systemd-sysusers", "/run/sysusers-sshd.conf"]);
  await host.mustRun(["mkdir", "-p", "-m", "755", "/run/sshd"]);
  // systemd-sysusers locks root, and sshd lets no locked account in, key or not.
  await host.mustRun(["usermod", "--password", "*", "--shell", "/bin/sh", "root"]);
  await renewHostKey(host);
  await host.mustRun([
    "systemd-run",
    "--unit=sshd-of-test",
    `--setenv=LD_LIBRARY_PATH=${HOME}`,
    daemon,
    "-D",
    "-f",
    `${HOME}/sshd_config`,
    `-oListenAddress=${host.address}`,
  ]);
  await eventually(`sshd on ${host.name}`, 5_000, async () => {
    return (await host.run(["ssh-keyscan", "-T", "1", host.address])).stdout !== "";
  });
}

/** Another host key: what a reinstalled host shows, or one that is not the host. sshd must be started again to show it. */
export async function renewHostKey(host: Host): Promise<void> {
  await host.mustRun(["rm", "-f", `${HOME}/host_key`, `${HOME}/host_key.pub`]);
  await host.mustRun(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", `${HOME}/host_key`]);
}

async function daemonPath(host: Host): Promise<string> {
  if (!existsSync("/usr/sbin/sshd") && !existsSync(`${UNPACKED}/usr/sbin/sshd`)) {
    throw new Error("Run sshd: it is not there; run scripts/setup");
  }
  if (existsSync("/usr/sbin/sshd")) return "/usr/sbin/sshd";
  await Bun.write(host.path(`${HOME}/sshd`), Bun.file(`${UNPACKED}/usr/sbin/sshd`));
  await chmod(host.path(`${HOME}/sshd`), 0o755);
  // The one library that a machine without sshd may lack, in the folder of its architecture.
  for (const architecture of await readdir(`${UNPACKED}/usr/lib`)) {
    const library = `${UNPACKED}/usr/lib/${architecture}/libwrap.so.0`;
    if (existsSync(library)) await Bun.write(host.path(`${HOME}/libwrap.so.0`), Bun.file(library));
  }
  return `${HOME}/sshd`;
}
