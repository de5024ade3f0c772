import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { machineId, registration, unitReport } from "../../test/fakes/registry-world.ts";
import { NewerFormatError } from "../lib/format.ts";
import { encodeText } from "../lib/text.ts";
import * as records from "./records.ts";

const options = fc.array(fc.record({ section: fc.string(), name: fc.string(), value: fc.string() }));
const decoders = [
  records.decodeUnitFile,
  records.decodeJob,
  records.decodeSchedule,
  records.decodeAddress,
  records.decodeMetadata,
  records.decodeReasons,
  records.decodeLeader,
  (bytes: Uint8Array) => records.decodeMachine("0".repeat(32), bytes),
  (bytes: Uint8Array) => records.decodeReport("0".repeat(32), "a.service", bytes),
];

describe("records", () => {
  test("a unit file comes back as it was, whatever is in it", () => {
    fc.assert(
      fc.property(options, (written) => {
        expect(records.decodeUnitFile(records.encodeUnitFile(written))).toEqual(written);
      }),
    );
  });

  test("the other records come back as they were", () => {
    const job = { hash: "0".repeat(40), desiredState: "launched" as const, machine: null };
    expect(records.decodeJob(records.encodeJob(job))).toEqual(job);
    expect(records.decodeJob(records.encodeJob({ ...job, machine: machineId(1) }))).toEqual({
      ...job,
      machine: machineId(1),
    });
    const report = unitReport(1, "a.service", { problem: "No such file", orderRevision: 7, result: "exit-code" });
    expect(records.decodeReport(report.machineId, report.name, records.encodeReport(report))).toEqual(report);
    const machine = registration(1, { region: "eu", __proto__x: "1" });
    expect(records.decodeMachine(machine.id, records.encodeMachine(machine))).toEqual(machine);
    expect(records.decodeMetadata(records.encodeMetadata({ value: null }))).toEqual({ value: null });
    expect(records.decodeMetadata(records.encodeMetadata({ value: "" }))).toEqual({ value: "" });
    const refusals = [{ machineId: "m", reason: "Holds it" }];
    expect(records.decodeReasons(records.encodeReasons(refusals))).toEqual(refusals);
  });

  test("a report of a release that knew less, or writes something else there, is read without it", () => {
    const { orderRevision: _later, ...older } = unitReport(1, "a.service", {
      problem: "No such file",
      orderRevision: 7,
    });
    const read = (fields: object) =>
      records.decodeReport(older.machineId, older.name, encodeText(JSON.stringify({ v: 1, ...fields })));
    const { name: _name, machineId: _machineId, ...fields } = older;
    expect(read(fields)).toEqual(older);
    expect(read({ ...fields, orderRevision: "7", more: [] })).toEqual(older);
  });

  test("anything else is a RecordError, never another failure", () => {
    const garbage = fc.oneof(
      fc.uint8Array(),
      fc.json().map(encodeText),
      fc.object().map((o) => encodeText(JSON.stringify({ ...o, v: 1 }))),
    );
    fc.assert(
      fc.property(garbage, fc.constantFrom(...decoders), (bytes, decode) => {
        try {
          decode(bytes);
        } catch (error) {
          expect(error instanceof records.RecordError || error instanceof NewerFormatError).toBe(true);
        }
      }),
    );
  });

  test("a record of a later version is refused with advice; a machine that announces no level knows the first", () => {
    for (const decode of decoders) {
      expect(() => decode(encodeText('{"v":2}'))).toThrow(NewerFormatError);
      expect(() => decode(encodeText('{"v":0}'))).toThrow(records.RecordError);
    }
    expect(records.decodeAddress(encodeText('{"v":1,"address":"10.0.0.1:2380"}')).format).toBe(1);
    expect(records.decodeAddress(records.encodeAddress({ address: "a", format: 3 }))).toEqual({
      address: "a",
      format: 3,
    });
  });

  test("a hash or an id that could be no part of a key is none", () => {
    const job = { hash: "0".repeat(40), desiredState: "launched" as const, machine: null };
    for (const broken of [
      { ...job, hash: "../x" },
      { ...job, hash: "" },
      { ...job, machine: ".." },
    ]) {
      expect(() => records.decodeJob(records.encodeJob(broken))).toThrow(records.RecordError);
    }
    expect(() => records.decodeSchedule(records.encodeSchedule({ ...job, hash: "x" }))).toThrow(records.RecordError);
    expect(() => records.decodeLeader(records.encodeLeader("m"))).toThrow(records.RecordError);
  });

  test("another format version is named", () => {
    expect(() => records.decodeJob(encodeText('{"v":0}'))).toThrow("format version 0, this release knows 1");
    expect(() => records.decodeJob(encodeText('{"v":2}'))).toThrow("has format 2");
  });
});
