/** Each rule by itself: who is let in, who may stay, and what the refused one is told (spec/fleet.md sections 3 and 4). */
import { describe, expect, test } from "bun:test";
import { machineId, unitOptions } from "../../../test/fakes/registry-world.ts";
import type { Metadata } from "../../model/machine.ts";
import { Cluster } from "../cluster.ts";
import { readNeeds } from "../needs.ts";
import { choose, whyLeave } from "../schedule.ts";
import { objection } from "./index.ts";

class Board {
  readonly cluster = new Cluster();
  constructor(machines: Readonly<Record<number, Metadata>>) {
    for (const [digit, metadata] of Object.entries(machines)) {
      const id = machineId(Number(digit));
      this.cluster.setMachine(id, { id, publicIp: "", metadata, version: "", peerAddress: "" });
    }
  }
  put(name: string, placement: string, digit: number | null): this {
    const job = { name, hash: placement, desiredState: "launched" as const, machine: null, modRevision: 1 };
    const needs = readNeeds(name, unitOptions(placement));
    this.cluster.setJob(name, { ...job, machine: digit === null ? null : machineId(digit) }, needs);
    return this;
  }
  global(name: string, placement: string, digit: number): this {
    this.put(name, `Global=true\n${placement}`, null);
    this.cluster.setSchedule(machineId(digit), name, { name, hash: "", desiredState: "launched" });
    return this;
  }
  newcomer(name: string, digit: number): string | null {
    return objection(this.#unit(name), this.#host(digit), this.cluster, "newcomer")?.reason ?? null;
  }
  resident(name: string, digit: number): string | null {
    return whyLeave(this.cluster, this.#unit(name), this.#host(digit));
  }
  choice(name: string) {
    return choose(this.cluster, this.#unit(name));
  }
  #unit(name: string) {
    return this.cluster.unit(name) ?? expect.unreachable(`no ${name}`);
  }
  #host(digit: number) {
    return this.cluster.host(machineId(digit)) ?? expect.unreachable(`no machine ${digit}`);
  }
}

describe("MachineID", () => {
  const board = new Board({ 1: {}, 2: {} });
  test.each([
    [machineId(1), 1, null],
    ["00000001", 1, null],
    [machineId(1), 2, `The unit asks for machine ${machineId(1)}`],
    ["00000003", 1, "The unit asks for machine 00000003"],
  ])("%s on machine %d: %s", (wanted, digit, refusal) => {
    expect(board.put("a.service", `MachineID=${wanted}`, null).newcomer("a.service", digit)).toBe(refusal);
  });
});

describe("MachineMetadata", () => {
  test.each<[string, Metadata, string | null]>([
    ["MachineMetadata=k=1", { k: "1" }, null],
    ["MachineMetadata=k=1", { k: "2" }, "Has k=2: the unit needs k=1"],
    ["MachineMetadata=k=1", {}, "No metadata k: the unit needs k=1"],
    ['MachineMetadata="k=1" "k=2"', { k: "2" }, null],
    ['MachineMetadata="k=1" "k=2"', { k: "3" }, "Has k=3: the unit needs k=1 or k=2"],
    ["MachineMetadata=k=1\nMachineMetadata=l=1", { k: "1", l: "1" }, null],
    ["MachineMetadata=k=1\nMachineMetadata=l=1", { k: "1" }, "No metadata l: the unit needs l=1"],
    ["MachineMetadata=toString=1", {}, "No metadata toString: the unit needs toString=1"],
  ])("%j with %j: %s", (placement, metadata, refusal) => {
    const board = new Board({ 1: metadata }).put("a.service", placement, null).put("b.service", placement, 1);
    expect(board.newcomer("a.service", 1)).toBe(refusal);
    expect(board.resident("b.service", 1)).toBe(refusal);
  });
});

describe("MachineOf", () => {
  test("with its target only; every target must be there", () => {
    const board = new Board({ 1: {}, 2: {} }).put("t.service", "", 1).put("s.service", "", 2);
    board.put("a.service", "MachineOf=t.service", null).put("b.service", "MachineOf=t.service s.service", null);
    expect(board.newcomer("a.service", 1)).toBeNull();
    expect(board.newcomer("a.service", 2)).toBe('The unit must be with "t.service", which is on 00000001');
    expect(board.newcomer("b.service", 1)).toBe('The unit must be with "s.service", which is on 00000002');
  });
  test("a target that is nowhere, or does not exist", () => {
    const board = new Board({ 1: {} }).put("t.service", "", null);
    board.put("a.service", "MachineOf=t.service", null).put("b.service", "MachineOf=x.service", null);
    expect(board.newcomer("a.service", 1)).toBe('The unit must be with "t.service", which is placed nowhere');
    expect(board.newcomer("b.service", 1)).toBe('The unit must be with "x.service", which does not exist');
  });
  test("a global target is where it is; a unit is always with itself", () => {
    const board = new Board({ 1: {}, 2: {} }).global("g.service", "", 1);
    board.put("a.service", "MachineOf=g.service", null).put("b.service", "MachineOf=b.service", null);
    expect(board.newcomer("a.service", 1)).toBeNull();
    expect(board.newcomer("a.service", 2)).toBe('The unit must be with "g.service", which is not on this machine');
    expect(board.newcomer("b.service", 1)).toBeNull();
  });
});

describe("Conflicts", () => {
  test("keeps a newcomer off, from either side, never from itself", () => {
    const board = new Board({ 1: {}, 2: {} }).put("db1.service", "", 1).put("web.service", "Conflicts=db*", 2);
    board.put("a.service", "Conflicts=a* db?.service", null).put("db2.service", "", null);
    expect(board.newcomer("a.service", 1)).toBe('Holds "db1.service": the unit conflicts with "db?.service"');
    expect(board.newcomer("a.service", 2)).toBeNull();
    expect(board.newcomer("db2.service", 2)).toBe('Holds "web.service", which conflicts with "db*"');
    expect(board.newcomer("db2.service", 1)).toBeNull();
  });
  test("of two residents, the one whose file objects has to go", () => {
    const board = new Board({ 1: {} }).put("a.service", "", 1).put("b.service", "Conflicts=a.service", 1);
    expect(board.resident("a.service", 1)).toBeNull();
    expect(board.resident("b.service", 1)).toBe('Holds "a.service": the unit conflicts with "a.service"');
  });
  test("counts global units as neighbours", () => {
    const board = new Board({ 1: {} }).global("g.service", "Conflicts=x.service", 1);
    board.put("x.service", "", null).put("y.service", "Conflicts=g*", null);
    expect(board.newcomer("x.service", 1)).toBe('Holds "g.service", which conflicts with "x.service"');
    expect(board.newcomer("y.service", 1)).toBe('Holds "g.service": the unit conflicts with "g*"');
  });
});

describe("Replaces", () => {
  test("sends a resident away, keeps a newcomer off, hinders nobody who comes to replace", () => {
    const board = new Board({ 1: {} }).put("new.service", "Replaces=old*", 1);
    board.put("old.service", "", 1).put("old2.service", "", null);
    const refusal = 'Holds "new.service", which replaces the unit';
    expect(board.resident("old.service", 1)).toBe(refusal);
    expect(board.newcomer("old2.service", 1)).toBe(refusal);
    expect(board.newcomer("new.service", 1)).toBeNull();
  });
  test.each([
    ["two", { "a.service": "Replaces=b.service", "b.service": "Replaces=a.service" }],
    ["three in a circle", { "a.service": "Replaces=b*", "b.service": "Replaces=c*", "c.service": "Replaces=a*" }],
    [
      "a circle by way of MachineOf",
      { "a.service": "Replaces=b*", "b.service": "", "c.service": "Replaces=a*\nMachineOf=b.service" },
    ],
  ])("%s: nobody goes", (_what, placements) => {
    const board = new Board({ 1: {} });
    for (const [name, placement] of Object.entries(placements)) board.put(name, placement, 1);
    for (const name of Object.keys(placements)) expect(board.resident(name, 1)).toBeNull();
  });
  test("a chain that does not close still acts", () => {
    const board = new Board({ 1: {} }).put("a.service", "Replaces=b*", 1);
    board.put("b.service", "Replaces=c*", 1).put("c.service", "", 1);
    expect(board.resident("a.service", 1)).toBeNull();
    expect(board.resident("b.service", 1)).toContain('"a.service"');
    expect(board.resident("c.service", 1)).toContain('"b.service"');
  });
  test("a global unit has no other machine to go to: it stays", () => {
    const board = new Board({ 1: {} }).put("a.service", "Replaces=*", 1).global("g.service", "", 1);
    expect(board.resident("g.service", 1)).toBeNull();
  });
});

describe("choose()", () => {
  test("fewest units, global ones counted; ties by id; the full ones are not even tried", () => {
    const board = new Board({ 1: {}, 2: {}, 3: {} }).global("g.service", "", 2).put("a.service", "", 1);
    const first = board.put("n.service", "", null).choice("n.service");
    expect(first).toMatchObject({ kind: "fits", host: { id: machineId(3) }, tried: 1 });
    expect(board.put("b.service", "", 3).choice("n.service")).toMatchObject({
      kind: "fits",
      host: { id: machineId(1) },
    });
  });
  test("explains each machine, by id", () => {
    const board = new Board({ 2: { k: "2" }, 1: {} }).put("x.service", "", 1);
    const choice = board.put("a.service", "MachineMetadata=k=1", null).choice("a.service");
    expect(choice).toMatchObject({
      kind: "nowhere",
      isCrowdedOut: false,
      refusals: [
        { machineId: machineId(1), reason: "No metadata k: the unit needs k=1" },
        { machineId: machineId(2), reason: "Has k=2: the unit needs k=1" },
      ],
    });
  });
  test("a file that cannot be read any more keeps the unit where it is", () => {
    const board = new Board({ 1: {} });
    const needs = readNeeds("a.service", [{ section: "X-Fleet", name: "Conflicts", value: "[" }]);
    const job = {
      name: "a.service",
      hash: "h",
      desiredState: "launched" as const,
      machine: machineId(1),
      modRevision: 1,
    };
    board.cluster.setJob("a.service", job, needs);
    expect(board.resident("a.service", 1)).toBeNull();
    expect(board.choice("a.service")).toMatchObject({
      kind: "nowhere",
      refusals: [{ machineId: "", reason: needs.problem }],
    });
  });
});
