/**
 * What the API answers with: units, states, machines, pages, reasons.
 *
 * @module
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { ApiWorld, M1, M2, OTHER, optionsOf } from "../../../test/fakes/api-world.ts";

let world: ApiWorld;
beforeEach(async () => {
  world = await ApiWorld.make();
});

describe("entities", () => {
  test("units: empty values left out, the target's report is the current state, globals have neither", async () => {
    world.fleet.place("hello.service", M1);
    const before = await world.json("/fleet/v1/units/hello.service");
    expect(before).toEqual({
      name: "hello.service",
      options: [
        { section: "Unit", name: "Description", value: "Hello" },
        { section: "Service", name: "ExecStart", value: "/bin/true" },
        { section: "Service", name: "ExecStart" },
      ],
      desiredState: "launched",
      currentState: "inactive",
      machineID: M1,
    });
    world.fleet.setReport({ name: "hello.service", machineId: M1 });
    expect(await world.json("/fleet/v1/units/hello.service")).toHaveProperty("currentState", "launched");
    const everywhere = await world.json("/fleet/v1/units/everywhere.service");
    expect(everywhere).not.toHaveProperty("currentState");
    expect(everywhere).not.toHaveProperty("machineID");
  });

  test("an option without a value is an empty assignment, on the way in and on the way out", async () => {
    const options = [
      { section: "Service", name: "ExecStart" },
      { section: "Service", name: "ExecStart", value: "" },
      { section: "Service", name: "ExecStart", value: "/bin/true" },
    ];
    await world.ask("PUT", "/fleet/v1/units/reset.service", { options });
    const [first, , last] = options;
    expect(await world.json("/fleet/v1/units/reset.service")).toMatchObject({ options: [first, first, last] });
  });

  test("a replacement without desiredState becomes inactive", async () => {
    await world.ask("PUT", "/fleet/v1/units/hello.service", { options: optionsOf(OTHER) });
    expect(world.fleet.job("hello.service")?.desiredState).toBe("inactive");
  });

  test("no items at all: {}", async () => {
    world = new ApiWorld();
    for (const path of ["units", "state", "machines"]) {
      expect(await (await world.ask("GET", `/fleet/v1/${path}`)).text()).toBe("{}");
    }
  });

  test("pages follow one another and cover everything once, in order", async () => {
    for (const letter of "gfedcba") await world.fleet.putUnit(`${letter}.service`, OTHER, "inactive");
    const names: string[] = [];
    let token = "";
    for (let page = 0; page < 10; page++) {
      const answer = (await world.json(`/fleet/v1/units?nextPageToken=${token}`)) as {
        units: { name: string }[];
        nextPageToken?: string;
      };
      expect(answer.units.length).toBeLessThanOrEqual(3);
      names.push(...answer.units.map((unit) => unit.name));
      if (answer.nextPageToken === undefined) break;
      token = answer.nextPageToken;
    }
    expect(names).toEqual(world.fleet.jobs().map((job) => job.name));
    expect(names.length).toBe(9);
  });

  test("state: filters by machine and unit; of one unit the target's report", async () => {
    world.fleet.setReport({ name: "hello.service", machineId: M1, active: "inactive", sub: "dead" });
    world.fleet.setReport({ name: "hello.service", machineId: M2 });
    world.fleet.setReport({ name: "everywhere.service", machineId: M1 });
    world.fleet.place("hello.service", M2);
    const list = async (query: string): Promise<string[]> => {
      const answer = (await world.json(`/fleet/v1/state${query}`)) as {
        states?: { name: string; machineID: string }[];
      };
      return (answer.states ?? []).map((state) => `${state.name} ${state.machineID}`);
    };
    expect(await list("")).toEqual([`everywhere.service ${M1}`, `hello.service ${M1}`, `hello.service ${M2}`]);
    expect(await list(`?machineID=${M1}`)).toEqual([`everywhere.service ${M1}`, `hello.service ${M1}`]);
    expect(await list(`?unitName=hello.service&machineID=${M2}`)).toEqual([`hello.service ${M2}`]);
    expect(await list("?unitName=nobody.service")).toEqual([]);
    expect(await world.json("/fleet/v1/state/hello.service")).toEqual({
      name: "hello.service",
      hash: world.fleet.job("hello.service")?.hash,
      machineID: M2,
      systemdLoadState: "loaded",
      systemdActiveState: "active",
      systemdSubState: "running",
    });
  });

  test("machines and version", async () => {
    expect(await world.json("/fleet/v1/machines")).toEqual({
      machines: [
        { id: M1, primaryIP: "172.17.8.103", metadata: { region: "eu" } },
        { id: M2, primaryIP: "172.17.8.104" },
      ],
    });
    world.change({ leader: () => M2 });
    expect(await world.json("/flt/v1/version")).toEqual({ version: "0.1.0", machineID: M1, leader: M2 });
    world.change({ alarms: () => ["The members' data differ"] });
    expect(await world.json("/flt/v1/version")).toMatchObject({ alarms: ["The members' data differ"] });
  });

  test("reasons say why a unit is nowhere", async () => {
    world.fleet.setReasons("hello.service", [{ machineId: M1, reason: "it has no ssd" }]);
    const reasons = [{ machineID: M1, reason: "it has no ssd" }];
    expect(await world.json("/flt/v1/units/hello.service/reasons")).toEqual({ reasons });
    expect(await world.json("/flt/v1/units/hello.service")).toMatchObject({ reasons });
    expect(await world.json("/fleet/v1/units/hello.service")).not.toHaveProperty("reasons");
  });
});
