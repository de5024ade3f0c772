/**
 * Runs the build, the checks and each level of tests one after the other, and sums up.
 *
 * Idea. Each level is a child whose report (JUnit's XML) is read for counts, so that a level that crashes counts as a failure
 * and never as silence. Host tests run file by file, each under a deadline: one hung cluster must not take the others'
 * results with it.
 *
 * @module
 */
import { chmod, mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

const ROOT = `${import.meta.dir}/..`;
const REPORTS = `${ROOT}/dist/reports`;
const UNIT_MS = 15 * 60_000;
/** Whole clusters take 100 s of a core, raft alone 40 s; this is for machines that are very busy. */
const SIM_MS = 15 * 60_000;
const SIMULATIONS = {
  "simulation of whole clusters, 1,000 seeds": ["bun", "run", "sim", "--seeds", "1..1000"],
  "simulation of raft, 500 seeds": ["bun", "run", "sim:raft", "--count", "500"],
};
/** FLT_HOST_FILE_MINUTES: the full runs of some take longer. */
const HOST_FILE_MS = Number(process.env.FLT_HOST_FILE_MINUTES ?? 10) * 60_000;
/** Next to nothing in levels 1 to 3 waits for real time, so a limit only ends a hang: Bun's 5 s would also end what a busy machine delays. */
const TEST_MS = 60_000;
const [level = "all", filter = ""] = process.argv.slice(2);

/** Where the tests make their temporary files: what is left in it, they forgot. */
const temporary = await mkdtemp(join(tmpdir(), "flt-test-"));
// As open as the folder that it stands in for: a test of modes looks at those above its files.
await chmod(temporary, 0o755);

const total: Counts = { passed: 0, failed: 0, skipped: 0 };
const failures: string[] = [];
/** Ctrl-C ends the test under way, and nothing is begun after it but the cleaning up. */
let interrupted = false;

function step(text: string): void {
  console.error(`==> ${text}`);
}

/** Runs a command with its output shown; true when it exits with 0 before the deadline. */
async function run(command: string[], timeoutMs: number): Promise<boolean> {
  const env = { ...process.env, TMPDIR: temporary };
  const child = Bun.spawn(command, { cwd: ROOT, env, stdin: "ignore", stdout: "inherit", stderr: "inherit" });
  const soft = setTimeout(() => {
    step(`stopping "${command.join(" ")}": not done after ${timeoutMs / 1000} s`);
    child.kill("SIGTERM");
  }, timeoutMs);
  const hard = setTimeout(() => child.kill("SIGKILL"), timeoutMs + 30_000);
  const forward = (): void => {
    interrupted = true;
    child.kill("SIGTERM");
  };
  process.once("SIGINT", forward);
  process.once("SIGTERM", forward);
  const code = await child.exited;
  clearTimeout(soft);
  clearTimeout(hard);
  process.removeListener("SIGINT", forward);
  process.removeListener("SIGTERM", forward);
  return code === 0;
}

/** Counts of a JUnit report's outermost element; undefined when there is none to read. */
async function countsOf(report: string): Promise<Counts | undefined> {
  const file = Bun.file(report);
  const opening = (await file.exists()) ? (await file.text()).match(/<testsuites\b[^>]*>/)?.[0] : undefined;
  if (opening === undefined) {
    return undefined;
  }
  const attribute = (name: string): number => Number(opening.match(new RegExp(`\\b${name}="(\\d+)"`))?.[1] ?? 0);
  const failed = attribute("failures") + attribute("errors");
  const skipped = attribute("skipped");
  return { passed: attribute("tests") - failed - skipped, failed, skipped };
}

/** A step that is no test: only its failure is counted. */
async function gate(what: string, command: string[], timeoutMs: number): Promise<boolean> {
  step(what);
  const ok = await run(command, timeoutMs);
  if (!ok) {
    total.failed++;
    failures.push(what);
  }
  return ok;
}

async function tests(what: string, paths: string[], timeoutMs: number): Promise<void> {
  step(what);
  const report = `${REPORTS}/${what.replace(/\W+/g, "-")}.xml`;
  const begin = performance.now();
  const command = ["bun", "test", `--timeout=${TEST_MS}`, "--reporter=junit", `--reporter-outfile=${report}`];
  const ok = await run([...command, ...paths], timeoutMs);
  const found = await countsOf(report);
  const counts = found ?? { passed: 0, failed: 0, skipped: 0 };
  if ((!ok || found === undefined) && counts.failed === 0) {
    // Crashed, timed out, failed outside of a test, or ended without a word about its tests.
    counts.failed = 1;
  }
  if (counts.failed > 0) {
    failures.push(what);
  }
  await countLeftovers(what);
  total.passed += counts.passed;
  total.failed += counts.failed;
  total.skipped += counts.skipped;
  const seconds = ((performance.now() - begin) / 1000).toFixed(0);
  step(`${what}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped in ${seconds} s`);
}

/** A test that leaves files behind has failed: in a thousand runs they fill a disk. */
async function countLeftovers(what: string): Promise<void> {
  const left = await readdir(temporary);
  if (left.length === 0) return;
  total.failed++;
  failures.push(`${what} left ${left.length} temporary files: ${left.slice(0, 5).join(", ")}`);
  await Promise.all(left.map((name) => rm(join(temporary, name), { recursive: true, force: true })));
}

async function hostFiles(): Promise<string[]> {
  const paths: string[] = [];
  for await (const path of new Bun.Glob("test/{hosts,compat}/*.host.ts").scan(ROOT)) {
    paths.push(path);
  }
  return paths.filter((path) => basename(path).includes(filter)).sort((left, right) => (left < right ? -1 : 1));
}

if (!["all", "unit", "sim", "hosts"].includes(level)) {
  console.error(`Run tests: level "${level}" is none of all, unit, sim, hosts`);
  process.exit(2);
}
await rm(REPORTS, { recursive: true, force: true });
await mkdir(REPORTS, { recursive: true });
if (level === "all") {
  await gate("format, lint, types, layers", ["scripts/check"], 3 * 60_000);
}
// A binary of an earlier build would prove nothing.
const needsBinary = level === "all" || level === "hosts";
const built = !needsBinary || (await gate("build", ["scripts/build"], 3 * 60_000));
if (level === "all" || level === "unit") {
  await tests("unit, contract and simulation", filter === "" ? [] : [filter], UNIT_MS);
}
if (level === "all" || level === "sim") {
  for (const [what, command] of Object.entries(SIMULATIONS)) {
    if (interrupted) {
      break;
    }
    // Counts as one test, however many seeds it has.
    if (await gate(what, command, SIM_MS)) {
      total.passed++;
    }
  }
}
if (needsBinary && built) {
  const files = await hostFiles();
  if (files.length === 0) {
    failures.push(`no host test is named like "${filter}"`);
    total.failed += 1;
  }
  for (const path of files) {
    if (interrupted) {
      break;
    }
    await tests(`hosts ${basename(path, ".host.ts")}`, [`./${path}`], HOST_FILE_MS);
  }
  await gate("sweep", ["bun", "test/hosts/lib/sweep.ts"], 60_000);
}
await rm(temporary, { recursive: true, force: true });
const skipsFail = process.env.CI === "true" && total.skipped > 0;
if (failures.length > 0) {
  console.error(`failed: ${failures.join(", ")}`);
}
if (skipsFail) {
  console.error("failed: tests were skipped, and CI=true allows no skip");
}
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
if (interrupted) {
  process.exit(130);
}
process.exit(total.failed > 0 || skipsFail ? 1 : 0);
