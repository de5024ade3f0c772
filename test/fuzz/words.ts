/**
 * Arbitraries for hostile input: what users and strangers send, and what it turns into by a slip of the hand.
 *
 * Idea. Chance alone never finds the way past the first check. So texts are put together from pieces that mean something to flt
 * and pieces that mean nothing, and valid things are built first and damaged then.
 *
 * @module
 */
import fc from "fast-check";
import { machineId } from "../fakes/registry-world.ts";
import { KNOWN_UNITS } from "./cluster.ts";

const NAMES = [
  ...KNOWN_UNITS,
  "new.service",
  "web@1.service",
  "a\\x2d.service",
  "x.mount",
  "x",
  ".service",
  "@.service",
  "no such.service",
  "-.slice",
  `${"l".repeat(260)}.service`,
  "ü.service",
  "__proto__",
  "constructor",
];

/** Names that mean something else to a shell, a file system, a URL, systemd's tools, or the agent's own folders. */
const TRICKS = [
  "..",
  "a/b.service",
  "../../etc/systemd/system/x.service",
  "/etc/passwd",
  "..service",
  "...service",
  ".launched",
  ".tmp.service",
  ".launched/hello.service",
  "--version.service",
  "-H.service",
  "-.mount",
  "a\n.service",
  "a b.service",
  "*.service",
  "a\\x2f..\\x2f.service",
  "a%2Fb.service",
  "$(id).service",
  "hello.service\0",
  "hello.service/",
  "HELLO.SERVICE",
  "__proto__.service",
  "constructor.service",
  "web@..service",
  "web@%i.service",
  "a@b@c.service",
  "\u202eecivres.service",
];

const VALUES = [
  "",
  "true",
  "yes",
  "1",
  "maybe",
  "*",
  "[a-",
  "[!a]*.service",
  "%i",
  "%",
  "%%n",
  "disk=ssd",
  '"disk=ssd" "region=eu"',
  "a=b c=d",
  '"',
  "'a b",
  "\\",
  "113f16a7000000000000000000000001",
  "113f16a7",
  "hello.service",
  "/bin/true",
  "x".repeat(2_100),
  "\0",
  "\ud800",
  "a\\\n  b",
];

const OPTIONS = [
  "MachineID",
  "MachineOf",
  "MachineMetadata",
  "Conflicts",
  "Global",
  "Replaces",
  "Fence",
  "X-Conflicts",
  "X-ConditionMachineID",
  "X-ConditionMachineBootID",
  "X-ConditionMachineOf",
  "X-ConditionMachineMetadata",
  "ExecStart",
  "Description",
  "WantedBy",
  "__proto__",
  "",
  "Odd Name",
  "=",
];

const SECTIONS = ["Unit", "Service", "Install", "X-Fleet", "X-Flt", "", "]", "x\ny", "__proto__", "Socket"];

export const unitName = fc.oneof(
  { weight: 7, arbitrary: fc.constantFrom(...NAMES) },
  { weight: 2, arbitrary: fc.constantFrom(...TRICKS) },
  { weight: 1, arbitrary: fc.string({ maxLength: 12 }) },
  { weight: 1, arbitrary: fc.string({ unit: "grapheme", maxLength: 6 }).map((text) => `${text}.service`) },
);

export const value = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...VALUES) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 20 }) },
);

const optionName = fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...OPTIONS) }, fc.string({ maxLength: 6 }));
const section = fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...SECTIONS) }, fc.string({ maxLength: 6 }));

const fileLine = fc.oneof(
  { weight: 3, arbitrary: section.map((name) => `[${name}]`) },
  { weight: 6, arbitrary: fc.tuple(optionName, value).map(([name, text]) => `${name}=${text}`) },
  { weight: 1, arbitrary: fc.constantFrom("", "# comment", "; comment", "[", "]", "=", "a\\", " \t", "no assignment") },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 20 }) },
);

/** Text of a unit file, mostly one. */
export const unitText = fc
  .tuple(fc.array(fileLine, { maxLength: 10 }), fc.constantFrom("\n", "\r\n", "\n\n", "\r"))
  .map(([lines, end]) => `[Service]\nExecStart=/bin/true\n${lines.join(end)}`);

/** Sometimes the thing itself, sometimes nothing like it. */
function damaged<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 9, arbitrary }, { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 1 }) });
}

function damagedRecord(fields: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<unknown> {
  const damagedFields = Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, damaged(field)]));
  return damaged(fc.record(damagedFields, { requiredKeys: [] }));
}

const desiredState = fc.constantFrom("inactive", "loaded", "launched", "Launched", "");
const option = damagedRecord({ section, name: optionName, value });
const options = fc.oneof(
  { weight: 2, arbitrary: fc.constant([{ section: "Service", name: "ExecStart", value: "/bin/true" }]) },
  { weight: 3, arbitrary: fc.array(option, { maxLength: 4 }) },
);

export const unitPut = damagedRecord({ name: unitName, desiredState, options });
const batchItem = damagedRecord({ name: unitName, desiredState, options, delete: fc.boolean() });
export const unitBatch = damagedRecord({ units: fc.array(batchItem, { maxLength: 5 }) });
/** Ids of machines that are there, that are not, and what is none. */
export const machineWord = fc.constantFrom(machineId(1), machineId(2), "00000001", "", "-", "m", "A".repeat(32), "..");
const pointerEnd = fc.oneof(
  fc.constantFrom(
    "/metadata/k",
    "/metadata/",
    "/metadata/a/b",
    "/metadata/~2",
    "/metadata/~1~0",
    "/metadata/__proto__",
  ),
  fc.constantFrom("/metadata/a=b", "/metadata/ k", "/metadata/..~1..~1job", "/metadata", "/state/k", "", "/"),
  fc.string({ unit: "binary", maxLength: 6 }).map((key) => `/metadata/${key}`),
);
const pointer = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(machineWord, pointerEnd).map(([id, end]) => `/${id}${end}`) },
  { weight: 1, arbitrary: fc.string({ maxLength: 12 }) },
);
const metadataValue = fc.oneof(value, fc.record({ value }), fc.jsonValue({ maxDepth: 1 }));
const edit = damagedRecord({
  op: fc.constantFrom("add", "remove", "replace", "move", ""),
  path: pointer,
  value: metadataValue,
});
export const metadataPatch = damaged(fc.array(edit, { maxLength: 4 }));
export const eventNames = damagedRecord({ unitNames: fc.array(unitName, { maxLength: 4 }) });

/** A page token as fleet writes them, any two numbers, or anything. */
export const pageToken = fc.oneof(
  fc.tuple(fc.nat(0xffff), fc.nat(0xffff), fc.nat(5)).map(([limit, page, extra]) => {
    const bytes = Buffer.alloc(4 + (extra > 3 ? extra - 3 : 0));
    bytes.writeUInt16LE(extra === 0 ? 100 : limit, 0);
    bytes.writeUInt16LE(extra === 1 ? 1 : page, 2);
    const text = bytes.toString("base64url");
    return extra === 2 ? text : text.padEnd(Math.ceil(text.length / 4) * 4, "=");
  }),
  fc.base64String({ maxLength: 16 }),
  fc.string({ maxLength: 10 }),
);
