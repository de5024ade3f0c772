/**
 * The fleet API called as a function, over a cluster in memory with two machines and two units.
 *
 * @module
 */
import { createFleetApi, type FleetApi, type FleetApiPorts } from "../../src/api/fleet/index.ts";
import { type Log, SILENT_LOG } from "../../src/lib/log.ts";
import { parseUnitFile, type UnitOption } from "../../src/model/unit-file.ts";
import { FakeFleet } from "./fake-fleet.ts";
import { ManualClock } from "./manual-clock.ts";

export const M1 = "113f16a7000000000000000000000001";
export const M2 = "2222222200000000000000000000000a";
export const HELLO = parseUnitFile("[Unit]\nDescription=Hello\n[Service]\nExecStart=/bin/true\nExecStart=\n");
export const OTHER = parseUnitFile("[Service]\nExecStart=/bin/false\n");
const GLOBAL = parseUnitFile("[Service]\nExecStart=/bin/true\n[X-Fleet]\nGlobal=true\n");

export class ApiWorld {
  readonly fleet: FakeFleet;
  /** Errors that were logged: faults of ours. */
  readonly logged: string[] = [];
  api: FleetApi;

  /** Without machines and units. */
  constructor(fleet = new FakeFleet()) {
    this.fleet = fleet;
    this.api = createFleetApi(this.#ports());
  }

  static async make(): Promise<ApiWorld> {
    const world = new ApiWorld();
    world.fleet.addMachine(M1, "172.17.8.103", { region: "eu" });
    world.fleet.addMachine(M2, "172.17.8.104");
    await world.fleet.putUnit("hello.service", HELLO, "launched");
    await world.fleet.putUnit("everywhere.service", GLOBAL, "launched");
    return world;
  }

  /** Makes the API anew, with other ports. */
  change(changes: Partial<FleetApiPorts>): void {
    this.api = createFleetApi({ ...this.#ports(), ...changes });
  }

  async ask(method: string, path: string, body?: unknown, type = "application/json"): Promise<Response> {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    return await this.api(
      new Request(`http://localhost${path}`, {
        method,
        ...(body === undefined ? {} : { body: text, headers: { "content-type": type } }),
      }),
    );
  }

  async json(path: string): Promise<unknown> {
    return await (await this.ask("GET", path)).json();
  }

  #ports(): FleetApiPorts {
    const log: Log = { ...SILENT_LOG, error: (message) => this.logged.push(message) };
    const notHere = (): never => {
      throw new Error("The status and the journal of units are not in this test");
    };
    return {
      view: this.fleet,
      units: this.fleet,
      machines: this.fleet,
      machineCalls: { unitStatus: notHere, unitJournal: notHere },
      ready: () => true,
      tokenLimit: 3,
      version: "0.1.0",
      machineId: M1,
      log,
      clock: new ManualClock(),
    };
  }
}

/** As a body's list of options. */
export const optionsOf = (file: readonly UnitOption[]): object[] => file.map((option) => ({ ...option }));
