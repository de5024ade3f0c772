/**
 * What submit, load and start take a name for: a unit or a template, in the registry or in a file.
 *
 * @module
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { CliWorld, M1 } from "../../../test/fakes/cli-world.ts";

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

describe("resolution", () => {
  test("in this order: unit in the registry, file, template in the registry, template beside the path", async () => {
    const file = (word: string) => `[Service]\nExecStart=/bin/${word}\n`;
    world.files.set("dir/web@.service", file("template-beside"));
    world.files.set("elsewhere/web@.service", file("template-in-registry"));
    world.files.set("elsewhere/web@1.service", file("unit-in-registry"));
    await world.run("submit", "elsewhere/web@.service", "elsewhere/web@1.service");
    const used = async (unit: string): Promise<string> => {
      expect((await world.run("start", "--no-block", `dir/${unit}`)).status).toBe(0);
      return (await world.run("cat", unit)).out;
    };
    world.files.set("dir/web@1.service", file("file"));
    world.files.set("dir/web@2.service", file("file"));
    expect(await used("web@1.service")).toBe(file("unit-in-registry"));
    expect(world.fleet.job("web@1.service")?.desiredState).toBe("launched");
    expect(await used("web@2.service")).toBe(file("file"));
    expect(await used("web@3.service")).toBe(file("template-in-registry"));
    await world.run("destroy", "web@.service");
    expect(await used("web@4.service")).toBe(file("template-beside"));
    expect((await world.run("start", "--no-block", "web@5.service")).status).toBe(1);
  });

  test("instances: template in the registry, then beside the path", async () => {
    world.files.set("dir/web@.service", HELLO);
    expect(await world.run("submit", "dir/web@1", "dir/web@2.service")).toMatchObject({
      status: 0,
      out: "Unit web@1.service inactive\nUnit web@2.service inactive\n",
    });
    await world.run("submit", "dir/web@.service");
    expect((await world.run("submit", "web@3")).status).toBe(0);
    world.files.set("dir/web@.service", OTHER);
    const { out, err } = await world.run("submit", "dir/web@4");
    expect(out).toBe("Unit web@4.service inactive\n");
    expect(err).toBe(
      "WARNING: Unit web@.service in registry differs from local template unit file web@.service. Add --replace to override.\n",
    );
    expect(world.fleet.job("web@4.service")?.hash).toBe(world.fleet.job("web@1.service")?.hash ?? "");
    expect((await world.run("start", "web@.service")).err).toContain("cannot activate template");
    expect((await world.run("submit", "nope@1")).err).toBe(
      "Error creating units: unable to find Unit(nope@1.service) or template Unit(nope@.service) in Registry or on filesystem\n",
    );
  });

  test("--replace: by state and command", async () => {
    await world.run("submit", "hello.service");
    expect((await world.run("submit", "hello.service")).err).toBe("");
    expect((await world.run("submit", "--replace", "hello.service")).err).toBe(
      "Found same Unit(hello.service) in Registry, nothing to do\n",
    );
    world.files.set("hello.service", OTHER);
    expect(await world.run("submit", "hello.service")).toEqual({
      status: 0,
      out: "",
      err: "WARNING: Unit hello.service in registry differs from local unit file hello.service. Add --replace to override.\n",
    });
    expect((await world.run("submit", "--replace", "hello.service")).status).toBe(0);
    expect((await world.run("cat", "hello.service")).out).toBe(OTHER);

    world.fleet.autoplace(M1);
    await world.run("start", "hello.service");
    world.files.set("hello.service", HELLO);
    for (const command of ["submit", "load"]) {
      expect(await world.run(command, "--replace", "hello.service")).toMatchObject({
        status: 1,
        err: "Warning: can not replace Unit(hello.service) in state 'launched', use the appropriate command\n",
      });
    }
    expect(await world.run("start", "--replace", "hello.service")).toMatchObject({
      status: 0,
      out: "Unit hello.service launched on 113f16a7.../172.17.8.103\n",
    });
  });

  test("unknown options are a warning", async () => {
    world.files.set("odd.service", `${HELLO}[X-Fleet]\nMachineIDs=x\n`);
    const { status, err } = await world.run("submit", "odd.service");
    expect(status).toBe(0);
    expect(err).toContain('WARNING: Unit odd.service: Unknown option "MachineIDs"');
  });
});
