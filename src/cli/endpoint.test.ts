/**
 * Which socket a client takes that was told none.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { CliWorld } from "../../test/fakes/cli-world.ts";

const OWN = "/run/user/1000/flt.sock";

test("the host's daemon, else the user's own, if there is one", async () => {
  const world = new CliWorld();
  world.connectionError = new Error("refused");
  const asked = async (): Promise<string> => (await world.run("list-machines")).err;
  expect(await asked()).toContain(" unix:///run/flt.sock:");
  world.environment = { XDG_RUNTIME_DIR: "/run/user/1000" };
  expect(await asked()).toContain(" unix:///run/flt.sock:");
  world.files.set(OWN, "");
  expect(await asked()).toContain(` unix://${OWN}:`);
  world.files.set("/run/flt.sock", "");
  expect(await asked()).toContain(" unix:///run/flt.sock:");
});
