/**
 * What units leave behind once they are gone: on a host files, links and what systemd still knows of them; in the store records.
 *
 * @module
 */
import type { Host } from "./host.ts";
import { eventually } from "./wait.ts";

/** Where flt's links lie; the second one is for units that are enabled at runtime. */
const LINKS = ["/run/systemd/system", "/run/systemd/system.control", "/etc/systemd/system"];

/**
 * One line for each trace, "" for none.
 *
 * @param names Units that have been on the host: systemd must not have them in memory, failed or not.
 */
export async function leftovers(host: Host, names: readonly string[] = []): Promise<string[]> {
  const list = async (...command: string[]) => {
    const lines = (await host.mustRun(command)).split("\n").filter((line) => line.trim() !== "");
    return lines.map((line) => `${host.name}: ${line.trim()}`);
  };
  const files = await list("find", "/run/flt/units", "-not", "-type", "d");
  const present = (await host.mustRun(["sh", "-c", `ls -d ${LINKS.join(" ")} 2>/dev/null; true`])).trim().split("\n");
  const links = await list("find", ...present, "-type", "l", "-lname", "*/run/flt/units/*", "-printf", "%p -> %l\\n");
  const dangling = names.length === 0 ? [] : await list("find", ...present, "-type", "l", ...anyName(names));
  const shown = ["systemctl", "list-units", "--all", "--plain", "--no-legend", "--no-pager", "--full"];
  const known = names.length === 0 ? [] : await list(...shown, "--", ...names);
  const failed = await list(...shown, "--state=failed");
  return [...files, ...links, ...dangling, ...known, ...failed];
}

function anyName(names: readonly string[]): string[] {
  return ["(", ...names.flatMap((name, index) => [...(index === 0 ? [] : ["-o"]), "-name", name]), ")"];
}

/** Waits until no trace is left on any of the hosts. */
export async function nothingLeft(hosts: readonly Host[], names: readonly string[], timeoutMs = 10_000): Promise<void> {
  await eventually("the end of every trace", timeoutMs, async () => {
    const found = (await Promise.all(hosts.map((host) => leftovers(host, names)))).flat();
    if (found.length > 0) throw new Error(found.join("\n"));
    return true;
  });
}

/** Waits until the store holds no record of any unit. Unit files go with the engine's next round. */
export async function noRecords(host: Host, timeoutMs = 10_000): Promise<void> {
  await eventually("the end of every record", timeoutMs, async () => {
    const text = await (await host.api("/metrics")).text();
    const records = [...text.matchAll(/^flt_registry_records\{kind="(\w+)"\} (\d+)$/gm)];
    const left = records.filter(([, kind, count]) => kind !== "machine" && count !== "0").map(([line]) => line);
    if (records.length < 6 || left.length > 0) throw new Error(left.join("\n"));
    return true;
  });
}
