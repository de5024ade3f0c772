/**
 * What daemons ask each other about their hosts: here or there, and only what is well-formed.
 *
 * @module
 */
import { expect, test } from "bun:test";
import type { Calls } from "../lib/calls.ts";
import { decodeText, encodeText } from "../lib/text.ts";
import { DaemonMachineCalls, type Inspector, machineHandlers } from "./machine-calls.ts";

const HERE = "1".repeat(32);
const THERE = "2".repeat(32);
const { signal } = new AbortController();

const asked: string[] = [];
async function* noted(what: string, query: object): AsyncGenerator<Uint8Array> {
  asked.push(`${what} ${JSON.stringify(query)}`);
  yield encodeText(what);
}
const inspector: Inspector = {
  status: (query) => noted("status", query),
  journal: (query) => noted("journal", query),
  properties: (query) => noted("properties", query),
  dependencies: (query) => noted("dependencies", query),
  usage: (query) => noted("usage", query),
};
const handlers = machineHandlers(inspector);

function handle(method: string, body: Uint8Array): AsyncIterable<Uint8Array> {
  const handler = handlers.get(method);
  if (handler?.kind !== "stream") throw new Error(`${method} is no stream`);
  return handler.handle(body, { signal });
}

/** The other daemon is this one: what is sent must be what is taken. */
const calls: Calls = {
  call: () => Promise.reject(new Error("unused")),
  stream: (_address, method, body) => handle(method, body),
};

test("the same question gets the same answer here and there", async () => {
  const client = new DaemonMachineCalls({ self: HERE, inspector, calls, address: () => "10.0.0.2:2380" });
  const tree = { direction: "after", all: true, plain: false } as const;
  for (const machine of [HERE, THERE]) {
    const streams = [
      client.unitStatus(machine, "a.service", signal),
      client.unitJournal(machine, "a.service", { lines: "all", since: "-1h", follow: true, output: "cat" }, signal),
      client.unitProperties(machine, "a.service", ["Id"], signal),
      client.unitDependencies(machine, "a.service", tree, signal),
      client.usage(machine, { units: ["a.service"], intervalMs: 1_000 }, signal),
      client.usage(machine, { units: null, intervalMs: null }, signal),
    ];
    const said: string[] = [];
    for (const stream of streams) for await (const chunk of stream) said.push(decodeText(chunk));
    expect(said).toEqual(["status", "journal", "properties", "dependencies", "usage", "usage"]);
  }
  expect(asked.slice(6)).toEqual(asked.slice(0, 6));
  expect(asked[3]).toBe('dependencies {"unit":"a.service","direction":"after","all":true,"plain":false}');
});

test("a machine whose address nobody knows is not asked", () => {
  const client = new DaemonMachineCalls({ self: HERE, inspector, calls, address: () => undefined });
  expect(() => client.unitStatus(THERE, "a.service", signal)).toThrow("its daemon's address is not known here");
});

test("a machine without a peer port is not asked: not implemented, which sends the client to SSH", () => {
  const client = new DaemonMachineCalls({ self: HERE, inspector, calls, address: () => "" });
  expect(() => client.unitStatus(THERE, "a.service", signal)).toThrow(
    expect.objectContaining({ code: "not-implemented", message: expect.stringContaining("listen_peer") }),
  );
});

test.each([
  ["unit.status", {}],
  ["unit.status", { unit: "--help" }],
  ["unit.status", []],
  ["unit.journal", { unit: "a.service", lines: -1 }],
  ["unit.journal", { unit: "a.service", output: "short --merge" }],
  ["unit.journal", { unit: "a.service", lines: "every" }],
  ["unit.journal", { unit: "a.service", since: "now\n--merge" }],
  ["unit.properties", { unit: "a.service", properties: ["Id", "--all"] }],
  ["unit.properties", { unit: "a.service", properties: "Id" }],
  ["unit.properties", { unit: "a.service", properties: Array.from({ length: 201 }, () => "Id") }],
  ["unit.dependencies", { unit: "a.service", direction: "--reverse" }],
  ["unit.dependencies", { unit: "../a.service", direction: "after" }],
  ["machine.usage", { units: ["a b"] }],
  ["machine.usage", { units: ["web[1"] }],
  ["machine.usage", { units: ["*".repeat(300)] }],
  ["machine.usage", { units: ["a.service"], intervalMs: 0 }],
  ["machine.usage", { intervalMs: "1000" }],
])("%s refuses %p", (method, request) => {
  const before = asked.length;
  expect(() => handle(method, encodeText(JSON.stringify(request)))).toThrow(
    expect.objectContaining({ code: expect.stringMatching(/^bad-/) }),
  );
  expect(asked).toHaveLength(before);
});
