/**
 * What goes where: data to stdout, everything else to stderr, and no colour into either of them, since neither is a terminal here.
 *
 * @module
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { CliWorld, M1 } from "../../test/fakes/cli-world.ts";

const HELLO = "[Service]\nExecStart=/bin/true\n";
const ODD = `${HELLO}[X-Fleet]\nMachineIDs=x\n`;
const ESCAPE = "\u001b";

let world: CliWorld;
beforeEach(async () => {
  world = new CliWorld();
  for (const name of ["hello.service", "new.service", "other.service"]) world.files.set(name, HELLO);
  world.files.set("odd.service", ODD);
  world.fleet.autoplace(M1);
  await world.run("start", "hello.service");
  await world.run("submit", "other.service");
});

type Case = readonly [argv: readonly string[], out: RegExp | "", err: RegExp | ""];

const on = "on 113f16a7\\.\\.\\./172\\.17\\.8\\.103\n";
/** Each of section 7's commands: where it works, and where it has something to remark or to refuse. */
const CASES: Readonly<Record<string, readonly Case[]>> = {
  submit: [
    [["submit", "new"], /^Unit new\.service inactive\n$/, ""],
    [["submit", "odd"], /^Unit odd\.service inactive\n$/, /^WARNING: Unit odd\.service: Unknown option /],
    [["submit", "--replace", "other"], "", /^Found same Unit\(other\.service\) in Registry, nothing to do\n$/],
    [["submit", "--sign", "new"], "", /^Signed units are gone/],
  ],
  load: [
    [["load", "other"], new RegExp(`^Unit other\\.service loaded ${on}$`), ""],
    [["load", "nobody"], "", /^Error creating units: /],
  ],
  start: [
    [["start", "other"], new RegExp(`^Unit other\\.service launched ${on}$`), ""],
    [["start", "--no-block", "other"], /^Triggered unit other\.service start\n$/, ""],
    [["start"], "", /^No units given\n$/],
  ],
  stop: [
    [
      ["stop", "hello"],
      new RegExp(`^Unit hello\\.service loaded ${on}$`),
      /^Successfully stopped units \[hello\.service\]\.\n$/,
    ],
    [["stop", "other"], "", /^Unable to stop unit other\.service in state inactive\n$/],
  ],
  unload: [
    [["unload", "hello"], /^Unit hello\.service inactive\n$/, /^Successfully unloaded units \[hello\.service\]\.\n$/],
    [["unload", "nobody"], "", /^Units not found in registry: nobody\.service\n$/],
  ],
  restart: [
    [["restart", "hello"], new RegExp(`^Unit hello\\.service loaded ${on}Unit hello\\.service launched ${on}$`), ""],
    [["restart", "other"], "", /^Unit other\.service is inactive: it is not restarted\n$/],
  ],
  destroy: [
    [["destroy", "hello", "other"], /^Destroyed hello\.service\nDestroyed other\.service\n$/, ""],
    [
      ["destroy", "hello", "nobody"],
      /^Destroyed hello\.service\n$/,
      /^Units not found in registry: nobody\.service\n$/,
    ],
  ],
  cat: [
    [["cat", "hello"], /^\[Service\]\nExecStart=\/bin\/true\n$/, ""],
    [["cat", "nobody"], "", /^Unit nobody\.service not found\n$/],
  ],
  verify: [[["verify", "hello"], "", /^Signed units are gone/]],
  "list-units": [
    [["list-units"], /^UNIT\t.*\nhello\.service\t.*\trunning\n$/, ""],
    [["list-units", "--fields=nonsense"], "", /^Invalid key in output format: "nonsense"\n$/],
  ],
  "list-unit-files": [
    [["list-unit-files", "--no-legend"], /^hello\.service\t.*\nother\.service\t.*\n$/, ""],
    [["list-unit-files", "--fields=tmachine", "--no-legend"], /^113f16a7.*\n-\n$/, /^WARNING: The "tmachine" field/],
  ],
  "list-machines": [[["list-machines"], /^MACHINE\t.*\n113f16a7.*\n22222222.*\n$/, ""]],
  status: [
    [["status", "hello", "nobody"], /^status of hello\.service on 113f\n/, /^Unit nobody\.service does not exist\.\n$/],
  ],
  journal: [
    [["journal", "hello"], /^journal of hello\.service on 113f /, ""],
    [["journal", "other"], "", /^Unit other\.service is on no machine: it has no journal\n$/],
  ],
  ssh: [[["ssh", "nobody"], "", /^.*neither a machine nor a unit/]],
  "fd-forward": [[["fd-forward"], "", /./]],
  version: [[["version"], /^flt version \d/, ""]],
  help: [
    [["help", "start"], /^Start units/, ""],
    [["help", "strat"], "", /^Unknown command "strat"\. Did you mean "start"\?\n$/],
  ],
};

describe("data on stdout, everything else on stderr, no colour", () => {
  for (const [command, cases] of Object.entries(CASES)) {
    for (const [argv, out, err] of cases) {
      test(`${command}: ${argv.join(" ")}`, async () => {
        const said = await world.run(...argv);
        for (const [text, expected] of [
          [said.out, out],
          [said.err, err],
        ] as const) {
          if (expected === "") expect(text).toBe("");
          else expect(text).toMatch(expected);
          expect(text).not.toContain(ESCAPE);
        }
      });
    }
  }

  test("a refusal of any command has stderr to itself", async () => {
    world.connectionError = Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
    for (const command of Object.keys(CASES)) {
      for (const flag of ["--nonsense", "--endpoint=ftp://x"]) {
        const said = await world.run(command, flag, "hello");
        expect([command, flag, said.out]).toEqual([command, flag, ""]);
        expect(said.err).not.toBe("");
        expect(said.status).toBeGreaterThan(0);
      }
    }
  });
});
