/**
 * SignalSieve against messages that dbus-next itself has encoded, in pieces of any size.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { createRequire } from "node:module";
import dbus from "dbus-next";
import fc from "fast-check";
import { DBUS, MANAGER_INTERFACE, PROPERTIES, SignalSieve, type SystemdSignal, UNIT_INTERFACE } from "./signals.ts";

const UNIT_PATH = "/org/freedesktop/systemd1/unit/hello_2eservice";
const MANAGER_PATH = "/org/freedesktop/systemd1";

/** What dbus-next encodes its own messages with; its types do not name it. */
const { marshallMessage } = createRequire(import.meta.url)("dbus-next/lib/marshall-compat.js") as {
  readonly marshallMessage: (message: dbus.Message) => readonly [Buffer];
};

function encode(message: dbus.Message): Buffer {
  message.serial ??= 1;
  return marshallMessage(message)[0];
}

function signal(path: string, owner: string, member: string, signature = "", body: unknown[] = []): Buffer {
  const message = new dbus.Message({ type: dbus.MessageType.SIGNAL, path, interface: owner, member, signature, body });
  message.sender = ":1.2";
  return encode(message);
}

function changed(owner: string, properties: Record<string, dbus.Variant>): Buffer {
  return signal(UNIT_PATH, PROPERTIES, "PropertiesChanged", "sa{sv}as", [owner, properties, ["Conditions"]]);
}

function answer(serial: number): Buffer {
  const call = new dbus.Message({ path: MANAGER_PATH, interface: MANAGER_INTERFACE, member: "StartUnit" });
  call.serial = serial;
  return encode(dbus.Message.newMethodReturn(call, "o", [UNIT_PATH]));
}

/** Feeds the bytes in these pieces; what came out: signals, and the bytes that went on to dbus-next. */
function sift(pieces: readonly Buffer[]): { readonly told: (SystemdSignal | "answer")[]; readonly passed: Buffer } {
  const told: (SystemdSignal | "answer")[] = [];
  const passed: Buffer[] = [];
  const waiting: Buffer[] = [];
  const sieve = new SignalSieve(
    () => waiting.shift() ?? null,
    (heard) => told.push(heard),
  );
  for (const piece of pieces) {
    waiting.push(piece);
    for (let read = sieve.read(); read !== null; read = sieve.read()) {
      passed.push(read);
      if (read.length === 16 && read[1] === dbus.MessageType.METHOD_RETURN) told.push("answer");
    }
  }
  return { told, passed: Buffer.concat(passed) };
}

const text = (value: string) => new dbus.Variant("s", value);
const STATES = { ActiveState: text("active"), SubState: text("running") };

test("The states of a unit are found among its other properties", () => {
  const properties = {
    FreezerState: text("running"),
    Job: new dbus.Variant("(uo)", [0, "/"]),
    ActiveEnterTimestamp: new dbus.Variant("t", 17n),
    InvocationID: new dbus.Variant("ay", Buffer.from("ActiveState")),
    ...STATES,
    NeedDaemonReload: new dbus.Variant("b", false),
  };
  expect(sift([changed(UNIT_INTERFACE, properties)]).told).toEqual([
    { kind: "unit-changed", path: UNIT_PATH, active: "active", sub: "running" },
  ]);
  const { told } = sift([changed(UNIT_INTERFACE, { SubState: text("exited"), Id: text("ActiveState") })]);
  expect(told).toEqual([{ kind: "unit-changed", path: UNIT_PATH, active: undefined, sub: "exited" }]);
});

test("The manager's signals and a new owner of its name are told", () => {
  const { told } = sift([
    signal(MANAGER_PATH, MANAGER_INTERFACE, "JobRemoved", "uoss", [7, "/job/7", "hello.service", "done"]),
    signal(MANAGER_PATH, MANAGER_INTERFACE, "Reloading", "b", [false]),
    signal(MANAGER_PATH, MANAGER_INTERFACE, "Reloading", "b", [true]),
    signal("/org/freedesktop/DBus", DBUS, "NameOwnerChanged", "sss", ["org.freedesktop.systemd1", ":1.0", ""]),
  ]);
  expect(told).toEqual([
    { kind: "job-removed", job: "/job/7", result: "done" },
    { kind: "reloading", begins: false },
    { kind: "reloading", begins: true },
    { kind: "owner-changed" },
  ]);
});

test("What nobody wants is passed over", () => {
  const { told, passed } = sift([
    changed("org.freedesktop.systemd1.Service", STATES),
    changed(UNIT_INTERFACE, { Job: new dbus.Variant("(uo)", [0, "/"]) }),
    signal(MANAGER_PATH, MANAGER_INTERFACE, "UnitNew", "so", ["hello.service", UNIT_PATH]),
    signal(MANAGER_PATH, "some.other", "JobRemoved"),
    signal(MANAGER_PATH, DBUS, "NameAcquired", "s", [":1.7"]),
  ]);
  expect(told).toEqual([]);
  expect(passed.length).toBe(0);
});

test("Answers go on untouched and in their place, whatever the pieces they come in", () => {
  const heard: SystemdSignal = { kind: "unit-changed", path: UNIT_PATH, active: "active", sub: "running" };
  const messages = [
    { bytes: answer(1), told: "answer" as const },
    { bytes: changed(UNIT_INTERFACE, STATES), told: heard },
    { bytes: signal(MANAGER_PATH, MANAGER_INTERFACE, "JobNew", "uos", [1, "/job/1", "x"]), told: null },
    { bytes: answer(70_000), told: "answer" as const },
  ];
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...messages), { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 40 }),
      (sent, sizes) => {
        const bytes = Buffer.concat(sent.map((message) => message.bytes));
        const pieces: Buffer[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const size = sizes[turn % sizes.length] ?? 1;
          pieces.push(bytes.subarray(at, at + size));
          at += size;
        }
        const { told, passed } = sift(pieces);
        expect(told).toEqual(sent.flatMap((message) => message.told ?? []));
        expect(passed).toEqual(
          Buffer.concat(sent.filter(({ told }) => told === "answer").map((message) => message.bytes)),
        );
      },
    ),
  );
});
