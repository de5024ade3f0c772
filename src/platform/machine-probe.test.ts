/**
 * The probe on loopback: who answers is alive, who resets is alive, and an aborted question is silence.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { createServer } from "node:net";
import { probeHost } from "./machine-probe.ts";

test("an accepted connection and a reset both speak for a living kernel", async () => {
  const server = createServer((socket) => socket.end());
  const port = await new Promise<number>((resolve) =>
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : 0);
    }),
  );
  expect(await probeHost(`127.0.0.1:${port}`, AbortSignal.timeout(5000))).toBe("alive");
  await new Promise((resolve) => server.close(resolve));
  expect(await probeHost(`127.0.0.1:${port}`, AbortSignal.timeout(5000))).toBe("alive");
});

test("no answer until the signal is silence", async () => {
  expect(await probeHost("127.0.0.1:9", AbortSignal.abort())).toBe("silent");
});

test("a name that does not resolve proves nothing", async () => {
  expect(await probeHost("no-such-host.invalid:2380", AbortSignal.timeout(5000))).toBe("alive");
});
