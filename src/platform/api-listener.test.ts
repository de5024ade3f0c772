/**
 * The API's listeners on real sockets: modes, stale and living sockets, long silent streams.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { temporaryFolders } from "../../test/fakes/temporary-folder.ts";
import { listenApi } from "./api-listener.ts";

const directory = temporaryFolders("api");
/** Leaves a socket behind as a killed daemon does. */
function abandonSocket(path: string): void {
  const listen = `require("node:net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))`;
  Bun.spawnSync([process.execPath, "-e", listen, path]);
  expect(statSync(path).isSocket()).toBe(true);
}

const hello = () => Promise.resolve(new Response("hello"));

test("a unix socket answers, is closed to others, and is gone after close", async () => {
  const path = join(directory(), "run", "flt.sock");
  const listener = await listenApi(`unix://${path}`, hello);
  expect(statSync(path).mode & 0o777).toBe(0o660);
  expect(await (await fetch("http://flt/", { unix: path })).text()).toBe("hello");
  await listener.close();
  expect(existsSync(path)).toBe(false);
});

test("a socket file that nobody answers on is replaced", async () => {
  const path = join(directory(), "flt.sock");
  abandonSocket(path);
  const listener = await listenApi(`unix://${path}`, hello);
  expect(await (await fetch("http://flt/", { unix: path })).text()).toBe("hello");
  await listener.close();
});

test("a file that is no socket is left alone", async () => {
  const path = join(directory(), "notes.txt");
  writeFileSync(path, "precious");
  await expect(listenApi(`unix://${path}`, hello)).rejects.toThrow("a file that is no socket is there");
  expect(readFileSync(path, "utf8")).toBe("precious");
});

test("a socket that another daemon answers on is left to it", async () => {
  const path = join(directory(), "flt.sock");
  const other = createServer((socket) => socket.end());
  await new Promise<void>((resolve) => other.listen(path, resolve));
  await expect(listenApi(`unix://${path}`, hello)).rejects.toThrow("another daemon answers there");
  other.close();
});

test("TCP listens on the host that was written", async () => {
  const listener = await listenApi("http://127.0.0.1:48231", hello);
  expect(await (await fetch("http://127.0.0.1:48231/")).text()).toBe("hello");
  await listener.close();
});
