/**
 * The tables, to the tab.
 *
 * @module
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { CliWorld, M1, M2 } from "../../../test/fakes/cli-world.ts";

const HELLO = "[Unit]\nDescription=Hello World\n[Service]\nExecStart=/bin/true\n";
const OTHER = "[Service]\nExecStart=/bin/false\n";
const GLOBAL = `${HELLO}[X-Fleet]\nGlobal=true\n`;

let world: CliWorld;
beforeEach(() => {
  world = new CliWorld();
  world.files.set("hello.service", HELLO);
  world.files.set("units/other.service", OTHER);
  world.files.set("everywhere.service", GLOBAL);
});

describe("tables", () => {
  beforeEach(async () => {
    world.fleet.autoplace(M1);
    await world.run("start", "hello.service", "everywhere.service");
    world.files.set("a-very-long-name.service", OTHER);
    await world.run("submit", "a-very-long-name.service");
  });

  test("list-machines shows keys of any name", async () => {
    const keys = ["__proto__", "constructor", "prototype", "toString"];
    await world.fleet.editMetadata(keys.map((key) => ({ machineId: M2, key, value: "x" })));
    const { out } = await world.run("list-machines", "--no-legend", "--fields=metadata");
    expect(out.trimEnd().split("\n").at(-1)).toBe("__proto__=x,constructor=x,prototype=x,toString=x");
    expect((await world.run("list-machines", "-o", "json")).out).toContain('"__proto__":"x"');
  });

  test("list-machines", async () => {
    expect((await world.run("list-machines")).out).toBe(
      "MACHINE\t\tIP\t\tMETADATA\n" +
        "113f16a7...\t172.17.8.103\tdisk=ssd,region=eu\n" +
        "22222222...\t172.17.8.104\t-\n",
    );
    expect((await world.run("list-machines", "-l", "--no-legend", "--fields=machine")).out).toBe(`${M1}\n${M2}\n`);
  });

  test("list-machines says on stderr what is wrong with the cluster's data, and is the same table", async () => {
    const plain = await world.run("list-machines");
    world.alarms = ["The members' data differ: 10.0.0.2:2380 does not hold what the majority holds"];
    const { out, err } = await world.run("list-machines");
    expect(out).toBe(plain.out);
    expect(plain.err).toBe("");
    expect(err).toBe("The members' data differ: 10.0.0.2:2380 does not hold what the majority holds\n");
  });

  test("list-units", async () => {
    expect((await world.run("list-units")).out).toBe(
      "UNIT\t\t\tMACHINE\t\t\t\tACTIVE\tSUB\n" +
        "everywhere.service\t113f16a7.../172.17.8.103\tactive\trunning\n" +
        "everywhere.service\t22222222.../172.17.8.104\tactive\trunning\n" +
        "hello.service\t\t113f16a7.../172.17.8.103\tactive\trunning\n",
    );
    const { out } = await world.run("list-units", "--full", "--no-legend", "--fields", "hash,machine,load");
    expect(out.split("\n")[2]).toBe(`${world.fleet.job("hello.service")?.hash}\t${M1}/172.17.8.103\tloaded`);
  });

  test("list-unit-files", async () => {
    expect((await world.run("list-unit-files")).out).toBe(
      "UNIT\t\t\t\tHASH\tDSTATE\t\tSTATE\t\tTARGET\n" +
        "a-very-long-name.service\t1fa41b0\tinactive\tinactive\t-\n" +
        "everywhere.service\t\t0c517b8\tlaunched\t-\t\tglobal\n" +
        "hello.service\t\t\t8ce832d\tlaunched\tlaunched\t113f16a7.../172.17.8.103\n",
    );
    const { out, err } = await world.run("list-unit-files", "--no-legend", "--fields=unit,global,desc,tmachine");
    expect(out).toContain("everywhere.service\t\ttrue\tHello World\tglobal\n");
    expect(err).toBe('WARNING: The "tmachine" field is deprecated. Use "target" instead\n');
  });

  test("fields that do not exist", async () => {
    for (const command of ["list-units", "list-unit-files", "list-machines"]) {
      expect(await world.run(command, "--fields=unit,x")).toMatchObject({ status: 1, out: "" });
    }
    expect((await world.run("list-units", "--fields=x")).err).toBe('Invalid key in output format: "x"\n');
    expect((await world.run("list-units", "--fields=constructor")).status).toBe(1);
    expect((await world.run("list-units", "--fields=")).err).toBe("Must define output format\n");
  });
});
