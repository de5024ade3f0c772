import { expect, test } from "bun:test";
import type { Entry } from "#raft";
import { encodeText } from "../lib/text.ts";
import { encodeCommand } from "../store/codec.ts";
import { digestText } from "../store/digest.ts";
import { SnapshotReader } from "../store/snapshot.ts";
import { RebuildError } from "./replacement.ts";
import { StoreMachine } from "./store-machine.ts";

function entryAt(index: number, value = encodeText(`${index}`)): Entry {
  const success = [{ op: "put", key: encodeText(`k${index % 3}`), value }] as const;
  const data = encodeCommand({ kind: "txn", request: { compare: [], success, failure: [] } });
  return { index, term: 1, kind: "normal", data };
}

/** A machine that has applied everything up to the index; one that is wrong has left out the first. */
function machineAt(index: number, isWrong = false): StoreMachine {
  const machine = new StoreMachine();
  for (let i = 1; i <= index; i++) if (i > 1 || !isWrong) machine.apply(entryAt(i));
  return machine;
}

async function stateOf(machine: StoreMachine): Promise<ReturnType<SnapshotReader["finish"]>> {
  const reader = new SnapshotReader();
  for await (const chunk of machine.snapshot()) reader.write(chunk);
  return reader.finish();
}

const textAt = (machine: StoreMachine, index: number) => {
  const digest = machine.digestAt(index);
  return digest === undefined ? undefined : digestText(digest);
};

test("the digest at each of the last 4,096 commands is known, whatever came after", () => {
  const machine = machineAt(5_000);
  expect(textAt(machine, 5_000)).toBe(digestText(machine.store.digest));
  expect(textAt(machine, 905)).toBe(textAt(machineAt(905), 905));
  expect(machine.digestAt(904)).toBeUndefined();
  expect(machine.digestAt(5_001)).toBeUndefined();
  expect(machine.digestAt(0)).toBeUndefined();
});

test("an index that held no command has no digest", () => {
  const machine = machineAt(3);
  machine.apply(entryAt(5));
  expect(machine.digestAt(4)).toBeUndefined();
  expect(machine.digestAt(5)).toBeDefined();
});

test.each([
  [7, 7],
  [7, 9],
  [12, 9],
])("a state of index %d replaces one that has come to %d, and both go on alike", async (source, here) => {
  const machine = machineAt(5, true);
  const replacement = machine.beginReplacement();
  for (let i = 6; i <= here; i++) machine.apply(entryAt(i));
  machine.replaceBy(await stateOf(machineAt(source)));
  for (let i = here + 1; i <= 14; i++) machine.apply(entryAt(i));
  await replacement.done;
  const expected = machineAt(14);
  expect(machine.store.hash()).toEqual(expected.store.hash());
  expect(machine.position).toBe(14);
  for (let i = Math.max(source, here); i <= 14; i++) expect(textAt(machine, i)).toBe(textAt(expected, i));
  // What was before says nothing any more.
  expect(machine.digestAt(5)).toBeUndefined();
});

test("a state from before the question is refused: what came between is not here", async () => {
  const machine = machineAt(5, true);
  const { done } = machine.beginReplacement();
  machine.replaceBy(await stateOf(machineAt(4)));
  await expect(done).rejects.toBeInstanceOf(RebuildError);
  expect(machine.position).toBe(5);
});

test("a state that comes when too much was written to keep all of it is refused: it would lack the rest", async () => {
  const machine = machineAt(5, true);
  const { done } = machine.beginReplacement();
  const megabytes = new Uint8Array(8 * 1024 * 1024);
  for (let i = 6; i <= 14; i++) machine.apply(entryAt(i, megabytes));
  const before = machine.store.digest;
  machine.replaceBy(await stateOf(machineAt(7)));
  await expect(done).rejects.toBeInstanceOf(RebuildError);
  expect(machine.position).toBe(14);
  expect(machine.store.digest).toEqual(before);
});

test("a snapshot that raft installs ends a replacement", async () => {
  const machine = machineAt(5, true);
  const { done } = machine.beginReplacement();
  const loader = machine.load();
  for await (const chunk of machineAt(9).snapshot()) loader.write(chunk);
  loader.finish()();
  await expect(done).rejects.toThrow("raft has installed a snapshot");
  expect(textAt(machine, 9)).toBe(textAt(machineAt(9), 9));
});
