/**
 * The UnitManager contract on a real systemd, and what only a real one can show.
 *
 * Idea. The host sees nothing of this tree: the suite is bundled into one file, and put there with the Bun that runs us.
 *
 * @module
 */
import { expect } from "bun:test";
import { cpSync } from "node:fs";
import { hostSuite } from "./lib/suite.ts";

const RUNTIME = "/var/lib/flt/bun";
const SUITE = "/var/lib/flt/unit-manager.test.js";
const SUITE_MS = 120_000;

hostSuite("UnitManager on systemd", { hosts: 1, flt: false }, (suite) => {
  suite.case(
    "keeps its contract",
    async (cluster) => {
      const host = cluster.host("h1");
      const { outputs } = await Bun.build({
        entrypoints: [`${import.meta.dir}/../contract/unit-manager.test.ts`],
        target: "bun",
        external: ["x11", "usocket"],
      });
      await host.write(SUITE, await (outputs[0]?.text() ?? ""));
      cpSync(process.execPath, host.path(RUNTIME));
      const outcome = await host.run([RUNTIME, "test", SUITE], {
        timeoutMs: SUITE_MS,
        env: { FLT_TEST_SYSTEMD: "/run/flt/units" },
      });
      if (outcome.code !== 0) console.error(outcome.stdout, outcome.stderr);
      expect(outcome.code).toBe(0);
      expect(outcome.stderr).toContain(" 0 fail");
    },
    SUITE_MS,
  );
});
