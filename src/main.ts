/**
 * The executable's door: looks at its own name and first words, and hands over to the client or the daemon.
 *
 * Idea. Each side is imported only when it is wanted, so that a client never pays for the daemon's modules and
 * `--version` pays for nothing at all. The names fltctl and fleetctl mean the client, fltd and fleetd the daemon.
 *
 * Not here. What either side does.
 *
 * @module
 */
import { VERSION } from "./lib/version.ts";

const DAEMON_NAMES = new Set(["fltd", "fleetd"]);
const CLIENT_NAMES = new Set(["fltctl", "fleetctl"]);

/** The name that the user typed: argv[0] without its folder; "flt" when run from source. */
function programName(argv0: string): string {
  const base = argv0.slice(argv0.lastIndexOf("/") + 1);
  return DAEMON_NAMES.has(base) || CLIENT_NAMES.has(base) ? base : "flt";
}

/** null: the client is meant. */
function argumentsOfDaemon(argv: readonly string[], name: string): readonly string[] | null {
  if (DAEMON_NAMES.has(name)) return argv;
  if (CLIENT_NAMES.has(name)) return null;
  const [first, second] = argv;
  if (first === "help" && second === "daemon") return ["--help"];
  return first === "daemon" ? argv.slice(1) : null;
}

async function run(argv: readonly string[], name: string): Promise<number> {
  const daemonArguments = argumentsOfDaemon(argv, name);
  if (daemonArguments !== null) {
    const { runDaemon } = await import("./daemon/main.ts");
    return runDaemon(daemonArguments, name);
  }
  const { runCli } = await import("./cli/main.ts");
  return runCli(argv, name);
}

function main(): void {
  const argv = process.argv.slice(2);
  const name = programName(process.argv0);
  if (argv[0] === "--version" && argv.length === 1) {
    process.stdout.write(`${name} version ${VERSION}\n`);
    return;
  }
  run(argv, name).then(
    (code) => process.exit(code),
    (error: unknown) => {
      process.stderr.write(`${name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
      process.exit(1);
    },
  );
}

main();
