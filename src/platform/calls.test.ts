/**
 * Calls over real sockets on loopback: answers, refusals, streams, cancellation, and what each failure says of the request.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import { createServer, type Socket } from "node:net";
import { CallError, type CallHandler } from "../lib/calls.ts";
import { SILENT_LOG } from "../lib/log.ts";
import { encodeText } from "../lib/text.ts";
import { encodeFrame, FrameReader, MAX_FRAME_BYTES } from "./call-frames.ts";
import { CallsClient } from "./calls-client.ts";
import { CallsServer } from "./calls-server.ts";
import { dialPeer, PeerListener } from "./peer-listener.ts";

const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A port that was free a moment ago. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        typeof address === "object" && address ? resolve(address.port) : reject(new Error("no port")),
      );
    });
  });
}

async function serve(handlers: Record<string, CallHandler>, clusterId = "c1"): Promise<string> {
  const address = `127.0.0.1:${await freePort()}`;
  const calls = new CallsServer({ clusterId, handlers: new Map(Object.entries(handlers)), log: SILENT_LOG });
  const listener = new PeerListener({
    address,
    raft: (socket) => socket.destroy(),
    calls: (socket, head) => calls.accept(socket, head),
    log: SILENT_LOG,
  });
  await listener.listen();
  closers.push(() => listener.close());
  return address;
}

function client(clusterId = "c1"): CallsClient {
  const calls = new CallsClient({ clusterId, dial: dialPeer });
  closers.push(() => calls.close());
  return calls;
}

async function failure(promise: Promise<unknown>): Promise<CallError> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof CallError)) throw new Error(`Expected a CallError, got ${String(error)}`);
  return error;
}

const echo: CallHandler = { kind: "unary", handle: (body) => Promise.resolve(body) };

describe("unary calls", () => {
  test("the answer comes back, many at once on one connection", async () => {
    const address = await serve({ echo });
    const calls = client();
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, i) => calls.call(address, "echo", encodeText(`n${i}`))),
    );
    expect(answers.map((bytes) => new TextDecoder().decode(bytes))).toEqual(
      Array.from({ length: 200 }, (_, i) => `n${i}`),
    );
  });

  test("a body of megabytes survives the cutting into packets", async () => {
    const address = await serve({ echo });
    const body = new Uint8Array(3_000_000).map((_, i) => i % 251);
    expect(await client().call(address, "echo", body)).toEqual(body);
  });

  test("a handler's refusal keeps its code and words", async () => {
    const refusing: CallHandler = {
      kind: "unary",
      handle: () => Promise.reject(Object.assign(new Error("Not the leader"), { code: "not-leader" })),
    };
    const error = await failure(client().call(await serve({ refusing }), "refusing", encodeText("")));
    expect([error.code, error.refusal, error.message]).toEqual(["refused", "not-leader", "Not the leader"]);
  });

  test("a method that is not there is refused, by name", async () => {
    const error = await failure(client().call(await serve({}), "nope", encodeText("")));
    expect([error.code, error.refusal]).toEqual(["refused", "unknown-method"]);
    expect(error.message).toContain('"nope"');
  });

  test("nobody listening: not sent, safe to repeat", async () => {
    const error = await failure(client().call(`127.0.0.1:${await freePort()}`, "echo", encodeText("")));
    expect(error.code).toBe("not-sent");
  });

  test("no answer by the deadline: lost, and the handler's signal is aborted", async () => {
    const aborted = Promise.withResolvers<void>();
    const hanging: CallHandler = {
      kind: "unary",
      handle: (_, { signal }) =>
        new Promise(() => {
          signal.addEventListener("abort", () => aborted.resolve());
        }),
    };
    const address = await serve({ hanging });
    const error = await failure(client().call(address, "hanging", encodeText(""), { timeoutMs: 50 }));
    expect(error.code).toBe("lost");
    await aborted.promise;
  });

  test("the connection breaks under a call: lost", async () => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.on("data", () => socket.destroy());
      sockets.push(socket);
    });
    const port = await freePort();
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    closers.push(() => void server.close());
    const error = await failure(client().call(`127.0.0.1:${port}`, "echo", encodeText("")));
    expect(error.code).toBe("lost");
  });

  test("another cluster's daemon refuses, with both names", async () => {
    const error = await failure(client("mine").call(await serve({ echo }, "theirs"), "echo", encodeText("")));
    expect(error.code).toBe("lost");
    expect(error.message).toContain('"mine"');
    expect(error.message).toContain('"theirs"');
  });

  test("after a server's restart the next call dials anew", async () => {
    const address = await serve({ echo });
    const calls = client();
    await calls.call(address, "echo", encodeText("a"));
    await closers.splice(0, 1)[0]?.();
    expect((await failure(calls.call(address, "echo", encodeText("b")))).code).toMatch(/lost|not-sent/);
  });
});

describe("streams", () => {
  test("chunks arrive in order, then the end", async () => {
    const count: CallHandler = {
      kind: "stream",
      async *handle() {
        for (let i = 0; i < 100; i++) yield encodeText(`${i},`);
      },
    };
    let text = "";
    for await (const chunk of client().stream(await serve({ count }), "count", encodeText(""))) {
      text += new TextDecoder().decode(chunk);
    }
    expect(text).toBe(Array.from({ length: 100 }, (_, i) => `${i},`).join(""));
  });

  test("a slow reader bounds what the sender produces, and leaving early cancels it", async () => {
    let produced = 0;
    const ended = Promise.withResolvers<void>();
    const endless: CallHandler = {
      kind: "stream",
      async *handle(_, { signal }) {
        try {
          while (!signal.aborted) {
            produced++;
            yield new Uint8Array(64 * 1024);
          }
        } finally {
          ended.resolve();
        }
      },
    };
    const stream = client().stream(await serve({ endless }), "endless", encodeText(""));
    for await (const chunk of stream) {
      expect(chunk.length).toBe(64 * 1024);
      break;
    }
    await ended.promise;
    // A window of 256 KiB, what one read gave back, and the one that waits for credit.
    expect(produced).toBeLessThanOrEqual(8);
  });

  test("a handler that fails half way: what was sent, then its refusal", async () => {
    const failing: CallHandler = {
      kind: "stream",
      async *handle() {
        yield encodeText("first");
        throw Object.assign(new Error("The journal ended badly"), { code: "journal" });
      },
    };
    const seen: number[] = [];
    const read = (async () => {
      for await (const chunk of client().stream(await serve({ failing }), "failing", encodeText("")))
        seen.push(chunk.length);
    })();
    expect((await failure(read)).refusal).toBe("journal");
    expect(seen).toEqual([5]);
  });
});

describe("frames", () => {
  test("a length beyond the limit is refused before anything is kept", () => {
    const header = Buffer.alloc(9);
    header.writeUInt32BE(MAX_FRAME_BYTES + 1, 0);
    expect(() => [...new FrameReader().push(header)]).toThrow("claims");
  });

  test("frames come out whole whatever the pieces", () => {
    const bytes = Buffer.concat([encodeFrame("chunk", 7, encodeText("hello")), encodeFrame("end", 7)]);
    const reader = new FrameReader();
    const frames = [...bytes].flatMap((byte) => [...reader.push(new Uint8Array([byte]))]);
    expect(frames.map((frame) => [frame.type, frame.id, frame.payload.length])).toEqual([
      ["chunk", 7, 5],
      ["end", 7, 0],
    ]);
  });
});
