/**
 * What completion offers, asked as the shells' scripts ask it, with the API's real handlers behind it.
 *
 * @module
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { CliWorld, M1, M2 } from "../../../test/fakes/cli-world.ts";
import { CONFIG_OPTIONS, flagName } from "../../config/table.ts";
import { COMMANDS } from "../commands/index.ts";
import { argumentPlaces, NOT_COMPLETED } from "./candidates.ts";
import { SHELLS } from "./scripts.ts";

const HELLO = "[Service]\nExecStart=/bin/true\n";

let world: CliWorld;
beforeEach(async () => {
  world = new CliWorld();
  for (const name of ["hello.service", "web@1.service"]) {
    world.files.set(name, HELLO);
    await world.run("submit", name);
  }
});

/** The line up to the cursor; its last word may be "". */
async function offered(line: string): Promise<string[]> {
  const { status, out, err } = await world.run("completion", "words", "--", ...line.split(" "));
  expect([status, err]).toEqual([0, ""]);
  return out.split("\n").flatMap((each) => (each === "" ? [] : [each.split("\t")[0] ?? ""]));
}

describe("words", () => {
  const names = COMMANDS.map(({ name }) => name);

  test("commands, by what was typed of them", async () => {
    expect(await offered("")).toEqual([...names, "daemon"]);
    expect(await offered("st")).toEqual(names.filter((name) => name.startsWith("st")));
    expect(await offered("--debug --endpoint unix:///x sto")).toEqual(["stop"]);
    expect(await offered("nonsense ")).toEqual([]);
    expect(await offered("help sto")).toEqual(["stop"]);
    expect(await offered("completion ")).toEqual([...SHELLS]);
  });

  test("every flag of every command, and every global one", async () => {
    for (const command of COMMANDS) {
      const found = await offered(`${command.name} --`);
      for (const flag of command.flags) {
        expect(found).toContain(`--${flag.name}${flag.value === undefined ? "" : "="}`);
      }
      expect(found).toContain("--endpoint=");
    }
    expect(await offered("journal --fol")).toEqual(["--follow"]);
    expect(await offered("journal -- --fol")).toEqual([]);
  });

  test("values of flags: choices, switches, files, machines", async () => {
    expect(await offered("journal --output=json")).toEqual(["--output=json", "--output=json-pretty"]);
    expect(await offered("journal --output json-")).toEqual(["json-pretty"]);
    expect(await offered("journal --follow=")).toEqual(["--follow=true", "--follow=false"]);
    expect(await offered("--ca-file ")).toEqual([":files"]);
    expect(await offered("journal --lines ")).toEqual([]);
    expect(await offered("list-units --fields=unit,mach")).toEqual(["--fields=unit,machine"]);
    expect(await offered("list-units --state=fai")).toEqual(["--state=failed"]);
    expect(await offered("list-units --type=service,tim")).toEqual(["--type=service,timer"]);
    expect(await offered("list-units -o ya")).toEqual(["yaml"]);
    expect(await offered("ssh --machine ")).toEqual([M1, M2]);
    expect(await offered(`ssh --machine=${M1.slice(0, 5)}`)).toEqual([`--machine=${M1}`]);
  });

  test("units: each once, by abbreviated commands too; files where files will do", async () => {
    expect(await offered("status ")).toEqual(["hello.service", "web@1.service"]);
    expect(await offered("statu hello.service ")).toEqual(["web@1.service"]);
    expect(await offered("stop h")).toEqual(["hello.service"]);
    for (const command of ["start", "load", "submit"]) {
      expect(await offered(`${command} we`)).toEqual([":files", "web@1.service"]);
    }
    expect(await offered("events he")).toEqual(["hello.service"]);
    expect(await offered("verify hello.service ")).toEqual([]);
    expect(await offered("fd-forward ")).toEqual([":files"]);
  });

  test("ssh: machines and units, then another program's words", async () => {
    expect(await offered("ssh ")).toEqual([M1, M2, "hello.service", "web@1.service"]);
    expect(await offered("ssh hello.service ")).toEqual([":files"]);
    expect(await offered("ssh hello.service --")).toEqual([":files"]);
  });

  test("the daemon's flags are the table's", async () => {
    expect(await offered("daemon --data-d")).toEqual(["--data-dir"]);
    const active = Object.values(CONFIG_OPTIONS).filter(({ effect }) => effect.kind === "active");
    expect(await offered("daemon ")).toEqual([...active.map(({ key }) => flagName(key)), "--config", "--check-config"]);
    expect(await offered("daemon --data-dir ")).toEqual([":files"]);
    expect(await offered("daemon --agent-ttl ")).toEqual([]);
  });

  test("what each is stands beside it", async () => {
    const { out } = await world.run("completion", "words", "--", "stop", "");
    expect(out).toBe("hello.service\tinactive\nweb@1.service\tinactive\n");
  });
});

describe("the cluster", () => {
  test("no daemon, a refusing one, a broken answer: nothing is said", async () => {
    world.connectionError = new Error("refused");
    expect(await offered("stop ")).toEqual([]);
    world.connectionError = null;
    world.answer = () => new Response("no", { status: 500 });
    expect(await offered("stop ")).toEqual([]);
    world.answer = () => new Response("{]\n");
    expect(await offered("stop ")).toEqual([]);
    expect(await offered("start ")).toEqual([":files"]);
  });

  test("a daemon that does not answer is given up after a second", async () => {
    world.fleet.sync = () => new Promise(() => {});
    const running = world.start(["completion", "words", "--", "stop", ""]);
    await world.clock.advance(999);
    expect(running.said.out).toBe("");
    await world.clock.advance(1);
    expect(await running.done).toEqual({ status: 0, out: "", err: "" });
  });

  test("it is the typed command's endpoint that is asked, and no tunnel is opened", async () => {
    await offered("--endpoint=unix:///elsewhere.sock stop ");
    expect(world.sockets.at(-1)).toBe("/elsewhere.sock");
    const before = world.requests.length;
    expect(await offered("--tunnel=far stop ")).toEqual([]);
    world.environment = { ...world.environment, FLTCTL_TUNNEL: "far" };
    expect(await offered("stop ")).toEqual([]);
    expect([world.requests.length, world.ssh.tunnels.length]).toEqual([before, 0]);
    expect(await offered("--endpoint=nonsense:// stop ")).toEqual([]);
  });
});

test("completion SHELL: a script each; another shell is refused", async () => {
  for (const shell of SHELLS) expect((await world.run("completion", shell)).out).toContain("completion words -- ");
  expect(await world.run("completion", "tcsh")).toMatchObject({
    status: 1,
    err: 'Cannot print a completion: "tcsh" is not known; there are bash, zsh, fish\n',
  });
  expect((await world.run("completion")).err).toContain("no shell is named");
});

test("what stands for a value in the help is known here: it is completed, or it is the user's alone", async () => {
  const asked: string[] = [];
  for (const command of COMMANDS) {
    const values = command.flags.flatMap(({ name, value }) => (value === undefined ? [] : [`--${name}=`]));
    for (const [index, place] of argumentPlaces(command.usage).entries()) {
      if (place === "COMMAND..." && command.takesCommand === true) continue;
      const line = `${command.name} ${"x ".repeat(index)}`;
      if ((await offered(line)).length === 0) asked.push(place);
    }
    for (const flag of values) {
      const { value = "" } = command.flags.find(({ name }) => flag === `--${name}=`) ?? {};
      const isKnown = NOT_COMPLETED.has(value) || (await offered(`${command.name} ${flag.slice(0, -1)} `)).length > 0;
      if (!isKnown) asked.push(`${command.name} ${flag}${value}`);
    }
  }
  expect(asked).toEqual([]);
});

test("argumentPlaces", () => {
  expect(argumentPlaces("[-A|--forward-agent] [--ssh-port=N] [MACHINE|UNIT] [COMMAND...]")).toEqual([
    "MACHINE|UNIT",
    "COMMAND...",
  ]);
  expect(argumentPlaces("[--no-block|--block-attempts=N] UNIT…")).toEqual(["UNIT..."]);
  expect(argumentPlaces("")).toEqual([]);
});
