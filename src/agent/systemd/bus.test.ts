import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../platform/clock.ts";
import { Bus } from "./bus.ts";

const HEADER_BYTES = 16;
const METHOD_CALL = 1;
/** dbus-daemon(1), max_replies_per_connection: one more and it refuses. */
const BUS_MAX = 128;

/** A systemd on its private socket that counts the calls that it has not answered, and answers when it is told to. */
class SlowPeer {
  readonly #server: Server;
  readonly #waiting: number[] = [];
  #socket: Socket | null = null;
  #bytes: Buffer = Buffer.alloc(0);
  #isGreeted = false;
  #isQuick = true;
  most = 0;

  constructor(path: string) {
    this.#server = createServer((socket) => {
      this.#socket = socket;
      socket.on("data", (chunk) => this.#take(Buffer.concat([this.#bytes, Buffer.from(chunk)])));
      socket.on("error", () => {});
    }).listen(path);
  }

  get outstanding(): number {
    return this.#waiting.length;
  }

  /** From now on answers wait for answer(). */
  slow(): void {
    this.#isQuick = false;
  }

  answer(count: number): void {
    for (const serial of this.#waiting.splice(0, count)) this.#reply(serial);
  }

  close(): void {
    this.#socket?.destroy();
    this.#server.close();
  }

  #take(bytes: Buffer): void {
    this.#bytes = bytes;
    if (!this.#isGreeted) this.#greet();
    while (this.#isGreeted && this.#bytes.length >= HEADER_BYTES) {
      const fields = this.#bytes.readUInt32LE(12);
      const length = HEADER_BYTES + Math.ceil(fields / 8) * 8 + this.#bytes.readUInt32LE(4);
      if (this.#bytes.length < length) return;
      if (this.#bytes[1] === METHOD_CALL) this.#called(this.#bytes.readUInt32LE(8));
      this.#bytes = this.#bytes.subarray(length);
    }
  }

  /** SASL EXTERNAL, as far as a client notices. */
  #greet(): void {
    const text = this.#bytes.toString("latin1");
    if (text.includes("AUTH") && !text.includes("BEGIN")) {
      this.#socket?.write("OK 0123456789abcdef0123456789abcdef\r\n");
      return;
    }
    const begin = text.indexOf("BEGIN\r\n");
    if (begin < 0) return;
    this.#isGreeted = true;
    this.#bytes = this.#bytes.subarray(begin + 7);
  }

  #called(serial: number): void {
    this.#waiting.push(serial);
    this.most = Math.max(this.most, this.#waiting.length);
    if (this.#isQuick) this.answer(1);
  }

  /** An empty method return: header field 5 is the call's serial. */
  #reply(serial: number): void {
    const message = Buffer.from([0x6c, 2, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0, 5, 1, 0x75, 0, 0, 0, 0, 0]);
    message.writeUInt32LE(serial, 20);
    this.#socket?.write(message);
  }
}

let folder: string;
let peer: SlowPeer;
let bus: Bus;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "flt-bus-"));
  const path = join(folder, "private");
  peer = new SlowPeer(path);
  bus = await Bus.connect("private", systemClock, path);
});
afterEach(() => {
  bus.close();
  peer.close();
  rmSync(folder, { recursive: true });
});

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}

test("a thousand calls at once: never more of them unanswered than a bus bears, and all are answered", async () => {
  peer.slow();
  let settled = 0;
  const call = { path: "/org/freedesktop/systemd1", interface: "org.freedesktop.systemd1.Manager", member: "Any" };
  const calls = Array.from({ length: 1000 }, () => bus.call(call).then(() => settled++));
  await until(() => peer.outstanding === 100);
  while (settled < calls.length) {
    const before = settled;
    peer.answer(37);
    await until(() => settled > before && (peer.outstanding > 0 || settled === calls.length));
  }
  await Promise.all(calls);
  expect(peer.most).toBe(100);
  expect(peer.most).toBeLessThan(BUS_MAX);
});

test("a peer that goes away ends every call, those that wait for their turn, too", async () => {
  peer.slow();
  const call = { path: "/org/freedesktop/systemd1", interface: "org.freedesktop.systemd1.Manager", member: "Any" };
  const calls = Array.from({ length: 300 }, () => bus.call(call));
  const ends = Promise.allSettled(calls);
  await until(() => peer.outstanding === 100);
  peer.close();
  for (const end of await ends) {
    expect(end).toMatchObject({ status: "rejected", reason: { code: "disconnected" } });
  }
});
