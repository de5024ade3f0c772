/**
 * --check-config: whose configuration is checked, and what is said of it.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { DEFAULT_CONFIG_PATH, FLEET_CONFIG_PATH, loadConfig } from "../config/load.ts";
import { checkConfig } from "./check-config.ts";

const FILES: Record<string, string> = {
  [DEFAULT_CONFIG_PATH]: "verify_units=true\n",
  [FLEET_CONFIG_PATH]: "metadata=a=1\nmetdata=a=1\n",
  "/x.conf": "agent_ttl=soon\n",
};

/** @param commandLine Of the daemon that runs; absent: systemd names none. */
function check(argv: readonly string[], commandLine?: readonly string[]): { said: string[]; status: number | string } {
  const said: string[] = [];
  const say = (text: string): void => void said.push(text);
  try {
    const status = checkConfig(
      { argv: ["--check-config", ...argv], argv0Name: "flt" },
      {
        mainPid: commandLine === undefined ? undefined : "77",
        readCommandLine: (pid) => (pid === 77 ? (commandLine?.map((word) => `${word}\0`).join("") ?? "") : null),
        load: (invocation) =>
          loadConfig({
            ...invocation,
            env: {},
            readFile: (path) => FILES[path] ?? null,
            user: { uid: 0, home: "/root" },
          }),
        out: say,
        err: say,
      },
    );
    return { said, status };
  } catch (error) {
    return { said, status: (error as Error).message };
  }
}

test("typed by somebody: warnings, and whether it can be used", () => {
  expect(check([])).toEqual({
    said: [expect.stringMatching(/^Option "verify_units" .* has no effect/), `"${DEFAULT_CONFIG_PATH}" can be used\n`],
    status: 0,
  });
  expect(check(["--config=/x.conf"]).status).toBe(
    'Cannot use agent_ttl="soon" in "/x.conf" line 1: it is no duration such as "4s", "1m30s" or "500ms"',
  );
});

test("before a reload: the daemon's own flags and name say which file, and what is fine is not told twice", () => {
  expect(check([], ["/usr/bin/flt", "daemon"])).toEqual({ said: [], status: 0 });
  expect(check([], ["/usr/bin/flt", "daemon", "--config", "/x.conf"]).status).toStartWith("Cannot use agent_ttl=");
  expect(check([], ["/opt/fleetd", "--verbosity=1"]).status).toStartWith(
    'Cannot use "metdata" in "/etc/fleet/fleet.conf" line 2',
  );
  // Whoever gives flags knows which daemon is meant.
  expect(check(["--verbosity=1"], ["/opt/fleetd"])).toEqual({ said: [], status: 0 });
  // systemd names something else, or nothing that is there any more.
  expect(check([], ["/bin/sh", "-c", "flt daemon"])).toEqual({ said: [], status: 0 });
  expect(check([], [])).toEqual({ said: [], status: 0 });
});
