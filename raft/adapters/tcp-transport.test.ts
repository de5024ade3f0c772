/** The TCP transport on loopback sockets: what gets through, what is refused, and what a broken network leads to. Snapshots: tcp-snapshots.test.ts. @module */
import { expect, test } from "bun:test";
import { connect } from "node:net";
import { ManualClock } from "../../test/fakes/manual-clock.ts";
import { append, connected, heartbeat, type Member, Members } from "../../test/fakes/transport-member.ts";
import type { Message } from "../types.ts";
import { FRAME_MAX_BYTES, FrameReader, frame, RAFT_MAGIC } from "./frames.ts";

const members = new Members();
const pair = members.pair.bind(members);

/** What a stranger says, until he is cut off. All that the member's sockets were asked for before has had its turn by then. */
async function strange(member: Member, bytes: Uint8Array): Promise<void> {
  const address = member.server.address();
  const port = address !== null && typeof address === "object" ? address.port : 0;
  const socket = connect({ host: "127.0.0.1", port });
  socket.on("error", () => {});
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.write(Buffer.concat([Buffer.from(RAFT_MAGIC), bytes]));
  await closed;
}

const EMPTY_FRAME = Buffer.from([0, 0, 0, 0]);

test("messages arrive in order, both ways, small and large", async () => {
  const [one, two] = await pair();
  await connected(one, two);
  await connected(two, one);
  two.messages.length = 0;
  const sent: Message[] = [];
  for (let i = 1; i <= 500; i++) sent.push(heartbeat(1, 2, i));
  sent.push(append(1, 2, 3_000_000), heartbeat(1, 2, 501));
  one.transport?.send(sent);
  await two.until(() => two.messages.length === sent.length);
  expect(two.messages).toEqual(sent);
});

test("a heartbeat overtakes the entries that a slow peer has not read, and none of them is lost", async () => {
  const [one, two] = await pair();
  await connected(one, two);
  two.messages.length = 0;
  for (const socket of two.accepted) socket.pause();
  const appends = 15;
  for (let i = 0; i < appends; i++) one.transport?.send([append(1, 2, 1_000_000)]);
  // The sockets' own buffers are filled by now; what they have is not overtaken.
  await new Promise((resolve) => setImmediate(resolve));
  one.transport?.send([heartbeat(1, 2, 7)]);
  await new Promise((resolve) => setImmediate(resolve));
  for (const socket of two.accepted) socket.resume();
  await two.until(() => two.messages.length === appends + 1);
  const at = two.messages.findIndex(({ kind }) => kind === "heartbeat");
  expect(at).toBeLessThan(appends - 3);
});

test("everything that is sent in one turn leaves in one write", async () => {
  const [one, two] = await pair();
  await connected(one, two);
  const written: number[] = [];
  for (const socket of one.dialed) {
    const write = socket.write.bind(socket);
    socket.write = ((bytes: Uint8Array) => {
      written.push(bytes.length);
      return write(bytes);
    }) as typeof socket.write;
  }
  two.messages.length = 0;
  for (let i = 0; i < 50; i++) one.transport?.send([heartbeat(1, 2, i)]);
  await two.until(() => two.messages.length === 50);
  expect(written).toHaveLength(1);
});

test("a peer that goes away is reported once, and found again when it is back", async () => {
  const [one, two] = await pair();
  await connected(one, two);
  await connected(two, one);
  const address = two.server.address();
  const port = address !== null && typeof address === "object" ? address.port : 0;
  one.lost.length = 0;
  await two.end();
  await one.until(() => one.lost.length > 0);
  const again = members.make(2);
  const peers = new Map([
    [
      1,
      [...(one.server.address() === null ? [] : [`127.0.0.1:${(one.server.address() as { port: number }).port}`])][0] ??
        "",
    ],
    [2, await again.listen(port)],
  ]);
  await again.start(peers);
  await connected(one, again);
  await connected(again, one);
  expect(one.lost).toEqual([2]);
});

test("a peer whose last words are read between the ends of its two connections is reported with the second, too", async () => {
  const [one, two] = [members.make(1), members.make(2)];
  const peers = new Map([
    [1, await one.listen()],
    [2, await two.listen()],
  ]);
  await one.start(peers);
  // It does not dial again.
  await two.start(peers, { clock: new ManualClock() });
  await connected(one, two);
  await connected(two, one);
  two.lost.length = 0;
  two.messages.length = 0;
  for (const socket of two.dialed) socket.destroy();
  await two.until(() => two.lost.length === 1);
  one.transport?.send([heartbeat(1, 2, 7)]);
  await two.until(() => two.messages.length === 1);
  for (const socket of one.dialed) socket.destroy();
  await two.until(() => two.lost.length === 2);
  expect(two.lost).toEqual([1, 1]);
});

test.each([
  ["another cluster", { clusterId: "c2" }, 1, 'it belongs to cluster "c2", this node to "c1"'],
  ["a node that is no member", {}, 9, "node 9 is no member of this cluster"],
] as const)("%s is refused, with a reason on both sides, logged once", async (_name, options, id, reason) => {
  const two = members.make(2);
  const stranger = members.make(id);
  const address = await two.listen();
  await two.start(new Map([[1, "127.0.0.1:1"]]));
  await stranger.start(new Map([[2, address]]), options);
  await stranger.until(() => stranger.warnings.length > 0 && two.warnings.length > 0);
  expect(stranger.warnings[0]).toContain(reason);
  expect(two.warnings[0]).toContain(reason);
  stranger.transport?.send([heartbeat(id, 2, 1)]);
  await stranger.until(() => stranger.dialed.size >= 1);
  expect(two.messages).toEqual([]);
  expect(two.warnings).toHaveLength(1);
});

test.each([
  ["a length beyond every frame", Buffer.from([0xff, 0xff, 0xff, 0xff, 0])],
  ["a message before the greeting", Buffer.from([0, 0, 0, 2, 3, 0])],
  ["an unknown frame", Buffer.from([0, 0, 0, 2, 99, 0])],
  ["an empty frame", EMPTY_FRAME],
  ["a greeting of a megabyte", Buffer.from([0, 0x10, 0, 0, 0])],
  ["a torn greeting", Buffer.from([0, 0, 0, 3, 0, 1, 0])],
])("a stranger that sends %s is cut off, and nobody else notices", async (_name, bytes) => {
  const [one, two] = await pair();
  await connected(one, two);
  await strange(two, bytes);
  await connected(one, two);
  expect(two.lost).toEqual([]);
});

test("a peer that reads nothing does not make the queue grow without bound", async () => {
  const clock = new ManualClock();
  const [one, two] = await pair({ clock });
  await connected(one, two);
  for (const socket of two.accepted) socket.pause();
  for (let i = 0; i < 200; i++) {
    one.transport?.send([append(1, 2, 1_000_000)]);
    await Promise.resolve();
  }
  const queued = Math.max(...[...one.dialed].map((socket) => socket.writableLength));
  expect(queued).toBeLessThan(20 * 1024 * 1024);
  one.lost.length = 0;
  await clock.advance(3600);
  expect(one.lost).toEqual([2]);
});

test("a transport that is stopped is deaf and mute, and can be stopped again", async () => {
  const [one, two] = await pair();
  await connected(one, two);
  await two.transport?.stop();
  await two.transport?.stop();
  two.messages.length = 0;
  two.transport?.send([heartbeat(2, 1, 1)]);
  one.transport?.send([heartbeat(1, 2, 1)]);
  await one.until(() => one.lost.length > 0);
  expect(two.messages).toEqual([]);
});

test("the largest message of the driver's limits fits a frame", () => {
  expect(FRAME_MAX_BYTES).toBeGreaterThan(2 * (1024 * 1024 + 2 * 1024 * 1024));
});

test("two that claim the same identity take turns slowly, instead of in a storm", async () => {
  const clock = new ManualClock();
  const two = members.make(2);
  const [one, double] = [members.make(1), members.make(1)];
  const peers = new Map([
    [1, await one.listen()],
    [2, await two.listen()],
  ]);
  await two.start(peers, { clock });
  await one.start(peers, { clock });
  await double.start(peers, { clock });
  // In steps, with a turn for the sockets in between: ten seconds of this cluster's life.
  const steps = 200;
  for (let step = 0; step < steps; step++) {
    await clock.advance(50);
    await strange(two, EMPTY_FRAME);
  }
  const turns = two.accepted.size - steps;
  expect(turns).toBeGreaterThan(5);
  expect(turns).toBeLessThan(40);
});

test("a frame that comes byte by byte is held in few pieces", () => {
  const reader = new FrameReader();
  const bytes = frame("message", new Uint8Array(200_000).fill(9));
  for (const byte of bytes.subarray(0, -1)) reader.push(new Uint8Array([byte]));
  expect(reader.pieceCount).toBeLessThan(200);
  expect(reader.next()).toBeNull();
  reader.push(bytes.subarray(-1));
  expect(reader.next()?.payload).toEqual(new Uint8Array(200_000).fill(9));
});
