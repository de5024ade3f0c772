/**
 * The story that flt is for, on three real hosts: start a unit anywhere, see it run, lose its host, see it run elsewhere.
 *
 * Idea. The hosts are those of the host tests. Each command is printed as a user would type it, with what it answers.
 *
 * @module
 */
import { Cluster, missingForHosts } from "../test/hosts/lib/cluster.ts";
import { machinesOf, waitActive } from "../test/hosts/lib/fleet.ts";
import type { Host } from "../test/hosts/lib/host.ts";
import { eventually } from "../test/hosts/lib/wait.ts";

const HELLO = `${import.meta.dir}/../examples/hello.service`;
const [flag = ""] = process.argv.slice(2);

function step(text: string): void {
  const isPlain = !process.stdout.isTTY || (process.env.NO_COLOR ?? "") !== "";
  console.log(isPlain ? `\n==> ${text}` : `\n\x1b[1m==> ${text}\x1b[0m`);
}

/** Shows a command and its answer; a failure ends the demo. */
async function show(host: Host, ...words: string[]): Promise<string> {
  console.log(`\n${host.name}# ${words.join(" ")}`);
  const { code, stdout, stderr } = await host.run(words);
  process.stdout.write(stdout + stderr);
  // `status` exits as systemctl does: 3 for a unit that does not run.
  if (code !== 0 && words[1] !== "status") {
    throw new Error(`Show "${words.join(" ")}" on ${host.name}: exit code ${code}`);
  }
  return stdout;
}

async function holderOf(cluster: Cluster, asked: Host, accepts: (machine: string) => boolean): Promise<Host> {
  const [state] = await waitActive(asked, ["hello.service"], 20_000, accepts);
  return cluster.hostOfMachine(state?.machineID ?? "");
}

async function story(cluster: Cluster): Promise<void> {
  const first = cluster.host("h1");
  await eventually("three machines", 20_000, async () => (await machinesOf(first)).length === 3);
  await first.write("/root/hello.service", await Bun.file(HELLO).text());
  step("three machines, one executable on each");
  await show(first, "flt", "list-machines");
  step("a unit file goes into the cluster, and runs on a machine that fits");
  await show(first, "cat", "/root/hello.service");
  await show(first, "flt", "submit", "/root/hello.service");
  await show(first, "flt", "start", "hello.service");
  const holder = await holderOf(cluster, first, () => true);
  const [asker, third] = cluster.others(holder) as [Host, Host];
  await show(asker, "flt", "list-unit-files");
  await show(asker, "flt", "list-units");
  await show(asker, "flt", "status", "hello.service");
  // Its second line is due a second after the first: the journal shall have something to show.
  await Bun.sleep(1_500);
  await show(third, "flt", "journal", "--lines=3", "hello.service");
  step(`${holder.name} runs it; ${holder.name} loses its power`);
  const begin = performance.now();
  await holder.powerOff();
  await holderOf(cluster, asker, (machine) => machine !== holder.machineId);
  step(`running elsewhere after ${((performance.now() - begin) / 1000).toFixed(1)} s`);
  await show(asker, "flt", "list-units");
  await show(asker, "flt", "list-machines");
  await show(asker, "flt", "journal", "--lines=2", "hello.service");
}

function howToUse(cluster: Cluster): void {
  step("the cluster is left up");
  for (const host of cluster.hosts.filter((each) => each.isOn)) {
    console.log(`  a shell on ${host.name}:  nsenter --target=${host.initPid} --all --root --wd bash -l`);
  }
  console.log(`  end it:          scripts/demo --remove ${cluster.tag}`);
}

async function main(): Promise<number> {
  const missing = missingForHosts();
  if (missing !== undefined) {
    console.error(`Boot the demo's hosts: ${missing}`);
    return 1;
  }
  step("booting three systemd hosts, with flt on each");
  const begin = performance.now();
  const cluster = await Cluster.boot({ hosts: 3, configOf: { h3: { metadata: "rack=7" } } });
  console.log(`up after ${((performance.now() - begin) / 1000).toFixed(1)} s`);
  try {
    await story(cluster);
  } catch (error) {
    await cluster.report();
    await cluster.remove();
    console.error(error);
    return 1;
  }
  if (flag === "--keep") {
    await cluster.keep();
    howToUse(cluster);
  } else {
    step("removing the hosts");
    await cluster.remove();
    step("done");
  }
  return 0;
}

if (!["", "--keep"].includes(flag)) {
  console.error(`Run the demo: unknown argument "${flag}"; usage: scripts/demo [--keep | --remove TAG]`);
  process.exit(2);
}
process.exit(await main());
