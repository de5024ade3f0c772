/**
 * What fleet's own pages show, typed again on three hosts by each of the client's names, gives that output but
 * for ids and addresses. Where the pages differ among themselves, the columns of fleet 1.0 win.
 *
 * @module
 */
import { expect } from "bun:test";
import { leaderOf, waitActive } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually } from "./lib/wait.ts";

const EXAMPLES = `${import.meta.dir}/../../examples`;
/** The folder that the pages list: hello, ping and pong. */
const FOLDER = "/tmp/examples";
const SHOWN = ["hello.service", "ping.service", "pong.service"];
const NAMES = ["flt", "fltctl", "fleetctl"];

/** Cells of a table apart by tabs, as fleet's tabwriter put them: a column is as wide as its widest cell, in steps of 8. */
function table(rows: readonly (readonly string[])[]): string {
  const stops = (rows[0] ?? []).map((_, at) =>
    Math.max(...rows.map((row) => Math.floor((row[at] ?? "").length / 8) + 1)),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, at) =>
        at === row.length - 1 ? cell : cell + "\t".repeat((stops[at] ?? 1) - Math.floor(cell.length / 8)),
      )
      .join("");
  return rows.map((row) => `${line(row)}\n`).join("");
}

const config = (region: string): Record<string, string> => ({ metadata: `region=${region}` });
const configOf = { h1: config("us-west"), h2: config("us-east"), h3: config("us-east") };

hostSuite("fleet's own pages", { hosts: 3, configOf }, (suite) => {
  const legend = (host: Host): string => `${host.machineId.slice(0, 8)}.../${host.address}`;

  suite.case("list-machines", async (cluster) => {
    await leaderOf(cluster);
    const host = cluster.host("h1");
    for (const name of NAMES) await host.mustRun(["ln", "-sf", "/usr/local/bin/flt", `/tmp/${name}`]);
    for (const unit of SHOWN) {
      await host.mustRun(["mkdir", "-p", FOLDER]);
      await host.write(`${FOLDER}/${unit}`, await Bun.file(`${EXAMPLES}/${unit}`).text());
    }
    const rows = cluster.hosts.map((each) => [
      `${each.machineId.slice(0, 8)}...`,
      each.address,
      each.name === "h1" ? "region=us-west" : "region=us-east",
    ]);
    const expected = table([["MACHINE", "IP", "METADATA"], ...rows]);
    for (const name of NAMES) {
      await eventually(`${name} list-machines`, 10_000, async () => {
        return (await host.mustRun([`/tmp/${name}`, "list-machines"])) === expected;
      });
    }
  });

  for (const name of NAMES) {
    suite.case(`${name}: submit examples/*, start hello.service, list-unit-files, list-units`, async (cluster) => {
      const host = cluster.host("h1");
      const run = (line: string): Promise<string> => host.mustRun(["sh", "-c", `cd /tmp && /tmp/${line}`]);

      expect(await run(`${name} submit examples/*`)).toBe(SHOWN.map((unit) => `Unit ${unit} inactive\n`).join(""));
      const inactive = (unit: string, hash: string): string[] => [unit, hash, "inactive", "inactive", "-"];
      const heading = ["UNIT", "HASH", "DSTATE", "STATE", "TARGET"];
      const hashes = (await run(`${name} list-unit-files --no-legend --fields=hash`)).trim().split("\n");
      expect(hashes[0]).toBe("e55c0ae");
      const submitted = SHOWN.map((unit, at) => inactive(unit, hashes[at] ?? ""));
      expect(await run(`${name} list-unit-files`)).toBe(table([heading, ...submitted]));
      expect(await run(`${name} list-units`)).toBe("UNIT\tMACHINE\tACTIVE\tSUB\n");

      const said = await run(`${name} start hello.service`);
      const [state] = await waitActive(host, ["hello.service"]);
      const holder = cluster.hostOfMachine(state?.machineID ?? "");
      expect(said).toBe(`Unit hello.service launched on ${legend(holder)}\n`);
      expect(await run(`${name} list-unit-files`)).toBe(
        table([heading, ["hello.service", "e55c0ae", "launched", "launched", legend(holder)], ...submitted.slice(1)]),
      );
      expect(await run(`${name} list-units`)).toBe(
        table([
          ["UNIT", "MACHINE", "ACTIVE", "SUB"],
          ["hello.service", legend(holder), "active", "running"],
        ]),
      );

      expect(await run(`${name} destroy examples/*`)).toBe(SHOWN.map((unit) => `Destroyed ${unit}\n`).join(""));
      await eventually(
        "the end of hello.service",
        10_000,
        async () => (await run(`${name} list-units --no-legend`)) === "",
      );
      // The pages' shorter way: a start that uploads by itself.
      const again = await run(`${name} start examples/hello.service`);
      expect(again).toMatch(
        /^Unit hello\.service inactive\nUnit hello\.service launched on [0-9a-f]{8}\.\.\.\/10\.77\.0\.1[123]\n$/,
      );
      await run(`${name} destroy hello.service`);
      await eventually(
        "the end of hello.service",
        10_000,
        async () => (await run(`${name} list-units --no-legend`)) === "",
      );
    });
  }

  suite.case("what differs by name: exit statuses of units that do not exist, the version's name", async (cluster) => {
    const host = cluster.host("h1");
    for (const name of NAMES) {
      const { code, stderr } = await host.run([`/tmp/${name}`, "stop", "nobody.service"]);
      const isFlt = name === "flt";
      expect([code, stderr]).toEqual(
        isFlt ? [5, "Units not found in registry: nobody.service\n"] : [0, "Units not found in registry\n"],
      );
      expect(await host.mustRun([`/tmp/${name}`, "version"])).toStartWith(`${name} version `);
      expect(await host.mustRun([`/tmp/${name}`, "--version"])).toStartWith(`${name} version `);
      expect((await host.run([`/tmp/${name}`, "no-such-command"])).code).toBe(1);
      expect((await host.run([`/tmp/${name}`, "verify", "hello.service"])).code).toBe(2);
    }
  });
});
