/**
 * From flags and environment to a client: which daemon is meant, and how it is asked.
 *
 * @module
 */
import { DEFAULT_ENDPOINT, type Endpoint, FleetClient } from "../client/index.ts";
import type { FlagValues } from "./flags.ts";
import { applyEnvironment } from "./global-flags.ts";
import { tlsFiles } from "./tls-files.ts";
import type { World } from "./world.ts";

const FLEET_ENDPOINT = "unix:///var/run/fleet.sock";

/** Adds to what the command line says what the environment says, and where the daemon is when neither names it. */
export function completeFlags(given: Map<string, string>, program: string, world: World): void {
  applyEnvironment(given, world.environment);
  if (!given.has("endpoint")) given.set("endpoint", defaultEndpoint(given, program, world));
}

/** The host's daemon is the default. Beside one that was started as fleetd there is fleet's socket; a user may have one of his own. */
function defaultEndpoint(given: ReadonlyMap<string, string>, program: string, world: World): string {
  // What is on this host says nothing about the far one.
  if ((given.get("tunnel") ?? "") !== "") return DEFAULT_ENDPOINT;
  if (world.exists(socketOf(DEFAULT_ENDPOINT))) return DEFAULT_ENDPOINT;
  if (program === "fleetctl" && world.exists(socketOf(FLEET_ENDPOINT))) return FLEET_ENDPOINT;
  const own = `unix://${world.environment.XDG_RUNTIME_DIR}/flt.sock`;
  return world.environment.XDG_RUNTIME_DIR?.startsWith("/") && world.exists(socketOf(own)) ? own : DEFAULT_ENDPOINT;
}

function socketOf(endpoint: string): string {
  return endpoint.slice("unix://".length);
}

export function makeClient(flags: FlagValues, endpoint: Endpoint, world: World): FleetClient {
  const tls = tlsFiles(flags, world);
  return new FleetClient({
    fetch: world.fetch,
    endpoint,
    clock: world.clock,
    requestTimeoutMs: flags.secondsMs("request-timeout"),
    ...(Object.keys(tls).length > 0 && { tls }),
    ...(flags.isOn("debug") && { trace: (line: string) => world.err(`debug: ${line}\n`) }),
  });
}
