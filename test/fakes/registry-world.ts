/**
 * A registry over a store in memory, with names at hand: what the tests of registry, engine and their users start from.
 *
 * @module
 */
import { SILENT_LOG } from "../../src/lib/log.ts";
import type { JobState, UnitReport } from "../../src/model/states.ts";
import { parseUnitFile, type UnitOption } from "../../src/model/unit-file.ts";
import {
  Keys,
  KvAgentRegistry,
  type MachineRegistration,
  RegistryUnits,
  RegistryView,
} from "../../src/registry/index.ts";
import type { Kv } from "../../src/store/kv.ts";
import { LocalKv } from "../../src/store/local-kv.ts";
import { ManualClock, settle } from "./manual-clock.ts";

export class RegistryWorld {
  readonly clock = new ManualClock();
  readonly keys = new Keys();
  readonly local = new LocalKv({ clock: this.clock });
  readonly kv: Kv;
  readonly view: RegistryView;
  readonly units: RegistryUnits;
  readonly agents: KvAgentRegistry;

  /** `wrap`: puts a faulty or watching Kv between the registry and the store. */
  constructor(wrap: (kv: Kv) => Kv = (kv) => kv) {
    this.kv = wrap(this.local);
    this.view = new RegistryView({ kv: this.kv, keys: this.keys, clock: this.clock, log: SILENT_LOG });
    this.units = new RegistryUnits(this.kv, this.keys, this.view);
    this.agents = new KvAgentRegistry(this.kv, this.keys, SILENT_LOG);
  }

  async start(): Promise<this> {
    await this.view.start();
    return this;
  }
  async stop(): Promise<void> {
    await this.view.stop();
    this.local.close();
  }
  async settle(): Promise<void> {
    await settle();
  }
  async put(name: string, text: string, state: JobState = "launched") {
    const result = await this.units.putUnit(name, unitOptions(text), state);
    await settle();
    return result;
  }
  /** Every key below the prefix, with its value as text. */
  async dump(): Promise<Record<string, string>> {
    const { kvs } = await this.local.range(this.keys.all);
    const text = new TextDecoder();
    return Object.fromEntries(
      kvs.map(({ key, value }) => [text.decode(key).slice(this.keys.prefix.length), text.decode(value)]),
    );
  }
}

/** machineId(1) is "1111…", so that its short form tells machines apart. */
export function machineId(digit: number): string {
  return digit.toString(16).padStart(8, "0").repeat(4);
}

export function registration(digit: number, metadata: Record<string, string> = {}): MachineRegistration {
  const id = machineId(digit);
  const publicIp = `10.0.0.${digit}`;
  return {
    id,
    identity: `identity-${digit}`,
    publicIp,
    metadata,
    version: "0.1.0",
    peerAddress: `${publicIp}:2380`,
    format: 1,
  };
}

/** Placement options alone are enough for a unit file: `Conflicts=b.service` and so on, a line each. */
export function unitOptions(placement: string): readonly UnitOption[] {
  return parseUnitFile(`[Service]\nExecStart=/bin/true\n\n[X-Fleet]\n${placement}\n`);
}

export function unitReport(digit: number, name: string, changes: Partial<UnitReport> = {}): UnitReport {
  const state = { load: "loaded", active: "active", sub: "running", jobState: "launched" as const };
  return { name, machineId: machineId(digit), hash: "0".repeat(40), ...state, ...changes };
}
