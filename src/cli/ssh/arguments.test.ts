/**
 * ssh's command lines: what a hostile name can become on its way through two option parsers and two shells. Nothing.
 *
 * @module
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { parseSshTarget, type SshSettings, shellLine, shellQuote, sshDestination, sshOptions } from "./arguments.ts";

const SETTINGS: SshSettings = {
  username: "core",
  connectTimeoutMs: 10_000,
  isStrict: true,
  knownHostsFile: "/home/me/.flt/known_hosts",
};

test("targets: names, addresses, ports", () => {
  expect(parseSshTarget("web1", "--tunnel")).toEqual({ host: "web1", port: null });
  expect(parseSshTarget("10.0.0.1:2222", "--tunnel")).toEqual({ host: "10.0.0.1", port: 2222 });
  expect(parseSshTarget("[fe80::1%eth0]:22", "--tunnel")).toEqual({ host: "fe80::1%eth0", port: 22 });
  expect(parseSshTarget("fe80::1", "--tunnel")).toEqual({ host: "fe80::1", port: null });
  for (const bad of ["", "-oProxyCommand=x", "a b", "host:0", "host:99999", "host;id", "$(id)", "a\nb", "`id`"]) {
    expect(() => parseSshTarget(bad, "--tunnel")).toThrow(/^Cannot use --tunnel/);
  }
  expect(() => parseSshTarget("me@host", "--tunnel")).toThrow("the user belongs into --ssh-username");
});

test("options: strict checking stores new keys and refuses changed ones; without it no key is kept", () => {
  expect(sshOptions(SETTINGS, { host: "h", port: 22 })).toEqual([
    "-o",
    "ConnectTimeout=10",
    "-o",
    "StrictHostKeyChecking=accept-new",
    "-o",
    'UserKnownHostsFile="/home/me/.flt/known_hosts"',
    "-p",
    "22",
    "-l",
    "core",
  ]);
  const lax = sshOptions({ ...SETTINGS, isStrict: false, connectTimeoutMs: 500 }, { host: "h", port: null });
  expect(lax).toContain("StrictHostKeyChecking=no");
  expect(lax).toContain("UserKnownHostsFile=/dev/null");
  expect(lax).toContain("ConnectTimeout=1");
  expect(lax).not.toContain("-p");
  expect(sshOptions({ ...SETTINGS, knownHostsFile: "/a b/100%" }, { host: "h", port: null })).toContain(
    'UserKnownHostsFile="/a b/100%%"',
  );
  for (const knownHostsFile of ['/a"b', "/a\nb", `/a$${"{HOME}"}`]) {
    expect(() => sshOptions({ ...SETTINGS, knownHostsFile }, { host: "h", port: null })).toThrow("--known-hosts-file");
  }
  for (const username of ["", "-oX=y", "a b", "x;id"]) {
    expect(() => sshOptions({ ...SETTINGS, username }, { host: "h", port: null })).toThrow("it is no user name");
  }
  expect(() => sshOptions(SETTINGS, { host: "-oProxyCommand=id", port: null })).toThrow("is no host");
});

test("destination: no option after it", () => {
  expect(sshDestination("h", null)).toEqual(["--", "h"]);
  expect(sshDestination("h", "-v")).toEqual(["--", "h", "-v"]);
});

test("a quoted word is one word to sh, whatever it contains", () => {
  expect(shellQuote("a\\x2d.service")).toBe("'a\\x2d.service'");
  expect(shellLine(["systemctl", "status", "--", "it's"])).toBe("systemctl status -- 'it'\\''s'");
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "binary-ascii", maxLength: 12 }), { maxLength: 4 }), (words) => {
      const clean = words.map((word) => word.replaceAll("\0", ""));
      const { stdout } = Bun.spawnSync(["sh", "-c", `for w in ${shellLine(clean)}; do printf '%s\\0' "$w"; done`]);
      const seen = stdout.toString().split("\0").slice(0, -1);
      expect(seen).toEqual(clean);
    }),
    { numRuns: 60 },
  );
});
