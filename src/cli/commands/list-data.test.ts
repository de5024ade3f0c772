/**
 * The lists as data and narrowed: field names that programs rely on, and filters with systemctl's meaning.
 *
 * @module
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { CliWorld, M1, M2 } from "../../../test/fakes/cli-world.ts";

const FILE = "[Unit]\nDescription=Hello: 12:30\n[Service]\nExecStart=/bin/true\n";
const HASH = "bd0c4cb8c7be5a0a9e8d0c9e1a7c0f3d9e8c7b6a";

let world: CliWorld;
beforeEach(async () => {
  world = new CliWorld();
  for (const name of ["a.service", "b.timer", "idle.service"]) world.files.set(name, FILE);
  world.files.set("everywhere.service", `${FILE}[X-Flt]\nGlobal=true\n`);
  world.fleet.autoplace(M1);
  await world.run("start", "a.service", "b.timer", "everywhere.service");
  await world.run("submit", "idle.service");
  world.fleet.setReport({ name: "b.timer", machineId: M1, active: "failed", sub: "failed" });
});

const units = async (...flags: string[]): Promise<string[]> => {
  const { out } = await world.run("list-units", "--no-legend", "--fields=unit", ...flags);
  return out.split("\n").filter((line) => line !== "");
};
const files = async (...flags: string[]): Promise<string[]> => {
  const { out } = await world.run("list-unit-files", "--no-legend", "--fields=unit", ...flags);
  return out.split("\n").filter((line) => line !== "");
};

describe("as data", () => {
  test("list-units -o json: one array, on one line, with whole ids and hashes", async () => {
    const { out, status } = await world.run("list-units", "-o", "json", "a");
    const hash = world.fleet.job("a.service")?.hash ?? HASH;
    expect(status).toBe(0);
    expect(out).toBe(
      `[{"unit":"a.service","machine":"${M1}","ip":"172.17.8.103","load":"loaded","active":"active","sub":"running","hash":"${hash}"}]\n`,
    );
    expect((await world.run("list-units", "-o", "json", "nobody")).out).toBe("[]\n");
  });

  test("list-unit-files and list-machines", async () => {
    const read = async (...words: string[]): Promise<unknown> => JSON.parse((await world.run(...words)).out);
    expect(await read("list-unit-files", "-o", "json", "--fields=unit,dstate,state,target,global,desc")).toEqual([
      { unit: "a.service", dstate: "launched", state: "launched", target: M1, global: false, desc: "Hello: 12:30" },
      { unit: "b.timer", dstate: "launched", state: "launched", target: M1, global: false, desc: "Hello: 12:30" },
      { unit: "everywhere.service", dstate: "launched", state: null, target: null, global: true, desc: "Hello: 12:30" },
      {
        unit: "idle.service",
        dstate: "inactive",
        state: "inactive",
        target: null,
        global: false,
        desc: "Hello: 12:30",
      },
    ]);
    expect(await read("list-machines", "-o", "json-pretty")).toEqual([
      { machine: M1, ip: "172.17.8.103", metadata: { disk: "ssd", region: "eu" } },
      { machine: M2, ip: "172.17.8.104", metadata: {} },
    ]);
  });

  test("YAML says the same as JSON", async () => {
    for (const list of ["list-units", "list-unit-files", "list-machines"]) {
      const yaml = (await world.run(list, "--output=yaml")).out;
      expect(Bun.YAML.parse(yaml)).toEqual(JSON.parse((await world.run(list, "--output=json")).out));
    }
    expect((await world.run("list-unit-files", "-o", "yaml", "--fields=unit,desc", "a")).out).toBe(
      '- unit: "a.service"\n  desc: "Hello: 12:30"\n',
    );
  });

  test("wide has every column; what is no output is refused before anything is asked", async () => {
    expect((await world.run("list-units", "-o", "wide")).out).toStartWith(
      "UNIT\t\t\tMACHINE\t\t\t\tLOAD\tACTIVE\tSUB\tHASH\n",
    );
    world.requests.length = 0;
    for (const list of ["list-units", "list-unit-files", "list-machines"]) {
      expect(await world.run(list, "-o", "xml")).toMatchObject({
        status: 1,
        err: 'Unknown output "xml": use one of table, wide, json, json-pretty, yaml\n',
      });
    }
    expect(world.requests).toEqual([]);
  });
});

describe("narrowed", () => {
  test("by pattern and name", async () => {
    expect(await units("*.service")).toEqual(["a.service", "everywhere.service", "everywhere.service"]);
    expect(await units("a", "b.*")).toEqual(["a.service", "b.timer"]);
    expect(await units("nobody*")).toEqual([]);
    expect(await files("[ai]*")).toEqual(["a.service", "idle.service"]);
    expect((await world.run("list-units", "nobody*")).status).toBe(0);
    // As systemctl ends there.
    expect((await world.run("list-unit-files", "nobody*")).status).toBe(1);
  });

  test("by type and state: a list or a flag that repeats, any of its words will do", async () => {
    expect(await units("-t", "timer")).toEqual(["b.timer"]);
    expect(await units("--type=timer,service", "a*", "b*")).toEqual(["a.service", "b.timer"]);
    expect(await units("-t", "timer", "-t", "socket")).toEqual(["b.timer"]);
    expect(await units("-t", "loaded", "-t", "socket", "a*")).toEqual(["a.service"]);
    expect(await units("--state=failed")).toEqual(["b.timer"]);
    expect(await units("--state=failed", "--state=running", "-t", "service", "a*")).toEqual(["a.service"]);
    expect(await files("--state=inactive")).toEqual(["idle.service"]);
    expect(await files("-t", "timer", "--state=launched")).toEqual(["b.timer"]);
  });

  test("a type or a state that does not exist is refused with those that do, before anything is asked", async () => {
    world.requests.length = 0;
    const refused = { status: 1, out: "" };
    for (const list of ["list-units", "list-unit-files"]) {
      expect(await world.run(list, "-t", "timer,servic")).toEqual({
        ...refused,
        err: expect.stringMatching(
          /^Unknown unit type or load state "servic". Did you mean "service"\?\nKnown are: (\w+, )+/,
        ),
      });
    }
    const { err, ...rest } = await world.run("list-units", "--state=failed,faild", "-o", "json");
    expect(rest).toEqual(refused);
    expect(err).toStartWith('Unknown state "faild". Did you mean "failed"?\nKnown are: stub, loaded, ');
    expect(err).toContain(" auto-restart,");
    expect(Math.max(...err.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
    expect(await world.run("list-unit-files", "--state=qqq")).toEqual({
      ...refused,
      err: 'Unknown state "qqq"\nKnown are: inactive, loaded, launched\n',
    });
    expect(world.requests).toEqual([]);
  });

  test("--type=help, --state=help: the words, as systemctl lists them", async () => {
    expect((await world.run("list-units", "--type=help")).out).toContain("Available unit types:\nautomount\n");
    const { out, status } = await world.run("list-units", "--state=help");
    expect(status).toBe(0);
    expect(out).toStartWith("Available unit load states:\nstub\nloaded\n");
    expect(out).toContain("\n\nAvailable timer unit substates:\ndead\nwaiting\nrunning\nelapsed\nfailed\n");
    expect((await world.run("list-unit-files", "--state=help")).out).toBe(
      "Available states of units in the cluster:\ninactive\nloaded\nlaunched\n",
    );
  });

  test("by machine: the beginning of an id, a table's way to show it, an address; asks for no more", async () => {
    world.requests.length = 0;
    expect(await units("-M", "2222")).toEqual(["everywhere.service"]);
    expect(world.requests).toContain(`GET /flt/v1/state?machineID=${M2}`);
    expect(await units("--machine=113f16a7.../172.17.8.103")).toEqual(["a.service", "b.timer", "everywhere.service"]);
    expect(await units("-M", "172.17.8.104")).toEqual(["everywhere.service"]);
    world.fleet.addMachine("3".repeat(32), "172.17.8.105");
    world.fleet.setReport({ name: "everywhere.service", machineId: "3".repeat(32) });
    expect(await units("-M", "113f", "-M", "2222", "e*")).toHaveLength(2);
    expect(await files("-M", "113f")).toEqual(["a.service", "b.timer"]);
    const machines = await world.run("list-machines", "--no-legend", "--fields=ip", "-M", "2222");
    expect(machines.out).toBe("172.17.8.104\n");
    expect((await world.run("list-machines", "--no-legend", "--fields=ip", "*.103")).out).toBe("172.17.8.103\n");
    expect((await world.run("list-machines", "--no-legend", "--fields=ip", "2222", "9")).out).toBe("172.17.8.104\n");
    expect(await world.run("list-units", "-M", "9999")).toMatchObject({
      status: 1,
      out: "",
      err: `Cannot find machine "9999": no machine's id begins so\n`,
    });
  });
});
