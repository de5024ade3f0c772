/**
 * What a test does to flt.service on a host: settings of its own, a death without return, and the return.
 *
 * @module
 */
import type { Host } from "./host.ts";

const DROP_IN = "/run/systemd/system/flt.service.d";

/** Puts lines into the service's [Service] section until settleService(). */
export async function overrideService(host: Host, lines: string): Promise<void> {
  await host.mustRun(["mkdir", "-p", DROP_IN]);
  await host.write(`${DROP_IN}/test.conf`, `[Service]\n${lines}\n`);
  await host.mustRun(["systemctl", "daemon-reload"]);
}

export async function settleService(host: Host): Promise<void> {
  await host.mustRun(["rm", "-r", DROP_IN]);
  await host.mustRun(["systemctl", "daemon-reload"]);
}

/** Kills the daemon and keeps its service from starting it again. */
export async function killForGood(host: Host): Promise<void> {
  await overrideService(host, "Restart=no");
  await host.killDaemon();
}

export async function bringBack(host: Host): Promise<void> {
  await settleService(host);
  await host.mustRun(["systemctl", "reset-failed", "flt.service"]);
  await host.mustRun(["systemctl", "start", "flt.service"]);
}
