/**
 * The flags of every command: from the command line and from the environment, by each of their names, and what each does.
 *
 * @module
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { CliWorld, M1 } from "../../test/fakes/cli-world.ts";
import { applyEnvironment, GLOBAL_FLAGS } from "./global-flags.ts";

const HELLO = "[Service]\nExecStart=/bin/true\n";
/** Those of spec/fleet.md section 7. */
const FLEETS =
  "endpoint tunnel ssh-username ssh-timeout known-hosts-file strict-host-key-checking request-timeout key-file cert-file " +
  "ca-file debug version help driver experimental-api etcd-key-prefix";

let world: CliWorld;
beforeEach(async () => {
  world = new CliWorld();
  world.files.set("hello.service", HELLO);
  world.files.set("/ca.pem", "");
  world.fleet.autoplace(M1);
  await world.run("start", "hello.service");
  world.ssh.result = { status: 0, isKeyRefused: false };
});

test("all of fleet's are there", () => {
  expect(FLEETS.split(" ").filter((name) => !GLOBAL_FLAGS.some((flag) => flag.name === name))).toEqual([]);
});

test("their defaults are fleet's, but for the places of flt's own files", () => {
  const defaults = Object.fromEntries(GLOBAL_FLAGS.map(({ name, fallback }) => [name, fallback]));
  expect(defaults).toMatchObject({
    endpoint: "unix:///run/flt.sock",
    tunnel: "",
    "ssh-username": "core",
    "ssh-timeout": "10.0",
    "known-hosts-file": "~/.flt/known_hosts",
    "strict-host-key-checking": "true",
    "request-timeout": "3.0",
    "key-file": "",
    "cert-file": "",
    "ca-file": "",
    debug: "false",
  });
});

describe("each from the environment: FLTCTL_ over FLEETCTL_, the command line over both, an empty one is none", () => {
  for (const { name, value: isValue } of GLOBAL_FLAGS) {
    test(name, () => {
      const suffix = name.toUpperCase().replaceAll("-", "_");
      const [one, other] = isValue === undefined ? ["true", "false"] : ["one", "other"];
      const read = (environment: Record<string, string>, typed?: string): string | undefined => {
        const given = new Map(typed === undefined ? [] : [[name, typed]]);
        applyEnvironment(given, environment);
        return given.get(name);
      };
      const both = { [`FLTCTL_${suffix}`]: one, [`FLEETCTL_${suffix}`]: other };
      expect(read({ [`FLTCTL_${suffix}`]: one })).toBe(one);
      expect(read({ [`FLEETCTL_${suffix}`]: one })).toBe(one);
      expect(read(both)).toBe(one);
      expect(read({ ...both, [`FLTCTL_${suffix}`]: "" })).toBe(other);
      expect(read(both, "typed")).toBe("typed");
      expect(read({ [`FLTCTL_${name}`]: one, [suffix]: one })).toBeUndefined();
    });
  }
});

/** Everything that a run shows, and everything that it asks of the world. */
async function seen(argv: readonly string[], environment: Record<string, string>): Promise<string> {
  for (const list of [world.requests, world.sockets, world.ssh.runs, world.ssh.tunnels, world.folders]) list.length = 0;
  world.environment = { HOME: "/home/me", ...environment };
  const finished = await world.start(argv).done;
  const { requests, sockets, folders } = world;
  return JSON.stringify([finished, requests, sockets, folders, world.ssh.runs, world.ssh.tunnels]);
}

describe("each does on the command line what it does from the environment", () => {
  const list = ["list-machines"];
  const ssh = ["ssh", "113f", "true"];
  const cases: readonly (readonly [name: string, value: string, argv: readonly string[], hasEffect: boolean])[] = [
    ["endpoint", "unix:///elsewhere.sock,unix:///second.sock", list, true],
    ["tunnel", "gate:2222", list, true],
    ["ssh-username", "root", ssh, true],
    ["ssh-timeout", "2.5", ssh, true],
    ["known-hosts-file", "~/kh", ssh, true],
    ["strict-host-key-checking", "false", ssh, true],
    ["request-timeout", "0", list, true],
    ["key-file", "/no/key.pem", list, true],
    ["cert-file", "/no/cert.pem", list, true],
    ["ca-file", "/no/ca.pem", list, true],
    ["debug", "true", list, true],
    ["version", "true", list, true],
    ["help", "true", list, true],
    ["driver", "etcd", list, true],
    ["driver", "API", list, false],
    ["driver", "api", list, false],
    ["experimental-api", "true", list, false],
    ["experimental-api", "false", list, false],
    ["etcd-key-prefix", "/somewhere/", list, false],
  ];
  test("none is left out", () => {
    expect(FLEETS.split(" ").filter((name) => !cases.some(([tested]) => tested === name))).toEqual([]);
  });
  for (const [name, value, argv, hasEffect] of cases) {
    test(`--${name}=${value}: ${hasEffect ? "in effect" : "accepted without effect"}`, async () => {
      const plain = await seen(argv, {});
      const typed = await seen([`--${name}=${value}`, ...argv], {});
      expect(typed === plain).toBe(!hasEffect);
      const suffix = name.toUpperCase().replaceAll("-", "_");
      // A refusal of the value may name the place that it was found in; nothing else may differ.
      expect(await seen([...argv.slice(0, 1), `--${name}=${value}`, ...argv.slice(1)], {})).toBe(typed);
      expect(await seen(argv, { [`FLTCTL_${suffix}`]: value })).toBe(typed);
      expect(await seen(argv, { [`FLEETCTL_${suffix}`]: value })).toBe(typed);
    });
  }
});

test("--debug says on stderr what is asked and answered, and leaves stdout alone", async () => {
  const plain = await world.run("list-machines");
  const traced = await world.run("--debug", "list-machines");
  expect(traced.out).toBe(plain.out);
  expect(plain.err).toBe("");
  expect(traced.err).toBe(
    "debug: GET unix:///run/flt.sock/flt/v1/machines -> 200\ndebug: GET unix:///run/flt.sock/flt/v1/version -> 200\n",
  );
});

test("--help and -h, wherever they stand, explain the command and do nothing", async () => {
  world.requests.length = 0;
  const text = await world.run("help", "stop");
  expect(text.out).toStartWith("Stop units");
  for (const argv of [
    ["stop", "--help", "hello"],
    ["stop", "hello", "-h"],
    ["-h", "stop"],
  ]) {
    expect(await world.run(...argv)).toEqual(text);
  }
  for (const argv of [["--help"], ["-h"], []]) expect(await world.run(...argv)).toEqual(await world.run("help"));
  expect(world.requests).toEqual([]);
});
