/**
 * show and list-dependencies: systemctl's words from the unit's machine, and the cluster's own beside them.
 *
 * @module
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { CliWorld, M1, M2 } from "../../../test/fakes/cli-world.ts";

const FILE = "[Service]\nExecStart=/bin/true\n";

let world: CliWorld;
let hash: string;
beforeEach(async () => {
  world = new CliWorld();
  for (const name of ["a.service", "b.service"]) world.files.set(name, FILE);
  world.files.set("stuck.service", `${FILE}[X-Flt]\nMachineOf=db.service\nConflicts=web@* x.service\n`);
  world.files.set("everywhere.service", `${FILE}[X-Flt]\nGlobal=true\n`);
  world.fleet.autoplace(M1);
  await world.run("start", "a", "everywhere");
  world.fleet.react = null;
  await world.run("start", "--no-block", "stuck");
  world.fleet.setReasons("stuck.service", [
    { machineId: M1, reason: "db.service is not there" },
    { machineId: "", reason: "nowhere else either" },
  ]);
  hash = world.fleet.job("a.service")?.hash ?? "";
  world.requests.length = 0;
});

describe("show", () => {
  test("everything: systemd's properties as they come, then the cluster's", async () => {
    expect(await world.run("show", "a")).toEqual({
      status: 0,
      err: "",
      out:
        "Id=a.service\nActiveState=active\nMainPID=113\nEnvironment=A=1\nsecond\n" +
        `Machine=${M1}\nMachineIP=172.17.8.103\nDesiredState=launched\nCurrentState=launched\nGlobal=no\nHash=${hash}\n`,
    });
  });

  test("only some, their values alone, both at once", async () => {
    expect((await world.run("show", "-p", "ActiveState,Machine", "-p", "Id", "a")).out).toBe(
      `Id=a.service\nActiveState=active\nMachine=${M1}\n`,
    );
    expect((await world.run("show", "--property=MainPID", "--value", "a")).out).toBe("113\n");
    expect((await world.run("show", "-P", "MainPID", "a")).out).toBe("113\n");
    expect((await world.run("show", "-p", "NoSuchThing", "a")).out).toBe("");
  });

  test("a machine is asked only for what is systemd's", async () => {
    expect((await world.run("show", "-p", "Machine,DesiredState", "a")).out).toBe(
      `Machine=${M1}\nDesiredState=launched\n`,
    );
    expect(world.requests.filter((request) => request.includes("/properties"))).toEqual([]);
    await world.run("show", "-p", "Machine,Id", "a");
    expect(world.requests.at(-1)).toBe(`GET /flt/v1/units/a.service/properties?machineID=${M1}&property=Id`);
  });

  test("several units and machines are apart by empty lines", async () => {
    expect((await world.run("show", "-p", "Id,MachineIP", "a", "every*")).out).toBe(
      "Id=a.service\nMachineIP=172.17.8.103\n\nId=everywhere.service\nMachineIP=172.17.8.103\n\n" +
        "Id=everywhere.service\nMachineIP=172.17.8.104\n",
    );
  });

  test("a unit that is nowhere says why; one that does not exist is not found: neither is an error", async () => {
    expect(await world.run("show", "-p", "Id,LoadState,ActiveState,Reason,DesiredState", "stuck", "nobody")).toEqual({
      status: 0,
      err: "",
      out:
        "Id=stuck.service\nLoadState=stub\nActiveState=inactive\nDesiredState=launched\n" +
        `Reason=${M1}: db.service is not there\nReason=nowhere else either\n\n` +
        "Id=nobody.service\nLoadState=not-found\nActiveState=inactive\n",
    });
  });

  test("as data", async () => {
    const { out } = await world.run("show", "-o", "json", "-p", "Id,Reason,Environment", "a", "stuck");
    expect(JSON.parse(out)).toEqual([
      { Id: "a.service", Environment: "A=1\nsecond" },
      { Id: "stuck.service", Reason: `${M1}: db.service is not there\nnowhere else either` },
    ]);
    expect(out.trimEnd()).not.toContain("\n");
  });

  test("refusals, before anything is asked", async () => {
    for (const words of [
      ["-p", "--all"],
      ["-p", "a b"],
      ["-o", "yaml"],
    ]) {
      expect(await world.run("show", ...words, "a")).toMatchObject({ status: 1, out: "" });
    }
    expect((await world.run("show")).err).toBe("No units given\n");
    expect(world.requests).toEqual([]);
  });
});

describe("list-dependencies", () => {
  const tree = (unit: string, machine: string, query: string): string =>
    `${unit}\n● └─on-${machine}.target\n${query}\n`;
  const PLAIN_TREE = '{"direction":"requires","all":false,"plain":false}';

  test("systemctl's tree from the unit's machine, or from each of a global one", async () => {
    expect((await world.run("list-dependencies", "a")).out).toBe(tree("a.service", "113f", PLAIN_TREE));
    expect((await world.run("list-dependencies", "everywhere")).out).toBe(
      `==> 113f16a7.../172.17.8.103 <==\n${tree("everywhere.service", "113f", PLAIN_TREE)}\n` +
        `==> 22222222.../172.17.8.104 <==\n${tree("everywhere.service", "2222", PLAIN_TREE)}`,
    );
    expect(M2).toStartWith("2222");
  });

  test("what binds it in the cluster, also while it is nowhere", async () => {
    expect((await world.run("list-dependencies", "a", "stuck")).out).toBe(
      `${tree("a.service", "113f", PLAIN_TREE)}\nstuck.service\n` +
        "In the cluster:\n  MachineOf=db.service\n  Conflicts=web@*\n  Conflicts=x.service\n",
    );
    expect((await world.run("list-dependencies", "--plain", "stuck")).out).toBe("stuck.service\n");
  });

  test("directions exclude each other; unknown units are named", async () => {
    expect((await world.run("list-dependencies", "--reverse", "-a", "a")).out).toContain(
      '{"direction":"reverse","all":true,"plain":false}',
    );
    expect(await world.run("list-dependencies", "--after", "--before", "a")).toMatchObject({ status: 1, out: "" });
    expect(await world.run("list-dependencies", "nobody", "a")).toMatchObject({
      status: 5,
      err: "Unit nobody.service does not exist.\n",
      out: tree("a.service", "113f", PLAIN_TREE),
    });
  });
});
