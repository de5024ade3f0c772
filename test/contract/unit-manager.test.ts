/**
 * The UnitManager contract on the fake; and on this machine's systemd when FLT_TEST_SYSTEMD names a units directory
 * (set inside a test host, where everything may be started and stopped).
 *
 * @module
 */
import { rmSync } from "node:fs";
import { connectSystemd } from "../../src/agent/systemd/index.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { FakeUnitManager } from "../fakes/unit-manager.ts";
import { systemdContract, testSystemd } from "./systemd.ts";
import { type Subject, unitManagerContract } from "./unit-manager.ts";

const HOST_UNIT = "systemd-journald.service";

unitManagerContract("fake", async () => {
  const units = new FakeUnitManager({ clock: systemClock, hostUnits: [HOST_UNIT] });
  return {
    units,
    hostUnit: HOST_UNIT,
    deleteFile: (name) => units.deleteFile(name),
    mask: (name) => units.mask(name),
    unmask: (name) => units.freeName(name),
    close: async () => {},
  };
});

const unitsDirectory = process.env.FLT_TEST_SYSTEMD;
if (unitsDirectory !== undefined) {
  for (const kind of ["system", "private"] as const) {
    unitManagerContract(`systemd over the ${kind} socket`, async (): Promise<Subject> => {
      const units = await connectSystemd({ ...testSystemd(unitsDirectory), kinds: [kind] });
      const systemctl = (verb: string) => (name: string) => void Bun.spawnSync(["systemctl", verb, name]);
      return {
        units,
        hostUnit: HOST_UNIT,
        deleteFile: (name) => rmSync(`${unitsDirectory}/${name}`),
        mask: systemctl("mask"),
        unmask: systemctl("unmask"),
        close: async () => units.close(),
      };
    });
  }
  systemdContract(unitsDirectory);
}
