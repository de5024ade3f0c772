/**
 * Sockets from systemd: addresses as listen_api writes them, and a whole child that is handed two and serves on them.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { temporaryFolders } from "../../test/fakes/temporary-folder.ts";
import { endpointOfAddress, takeInheritedSockets } from "./inherited-sockets.ts";

const folder = temporaryFolders("fds");

describe("addresses", () => {
  const bytes = (family: number, rest: readonly number[]) => Buffer.from([family, 0, ...rest]);
  const cases: readonly (readonly [string, Buffer, string | null])[] = [
    ["unix", bytes(1, [...Buffer.from("/run/flt.sock\0")]), "unix:///run/flt.sock"],
    ["unix, abstract", bytes(1, [0, 0x61]), null],
    ["unix, without a name", bytes(1, []), null],
    ["IPv4", bytes(2, [0x1f, 0x90, 127, 0, 0, 1, 0, 0]), "http://127.0.0.1:8080"],
    ["IPv6", bytes(10, [0, 80, 0, 0, 0, 0, ...new Array(15).fill(0), 1, 0, 0, 0, 0]), "http://[::1]:80"],
    ["every interface", bytes(10, [0, 80, 0, 0, 0, 0, ...new Array(16).fill(0), 0, 0, 0, 0]), "http://[::]:80"],
    ["another family", bytes(16, [0, 0]), null],
    ["nothing", Buffer.alloc(0), null],
  ];
  for (const [name, address, endpoint] of cases) test(name, () => expect(endpointOfAddress(address)).toBe(endpoint));
});

test("variables for another process, or none, give nothing and are removed all the same", () => {
  const environment: Record<string, string | undefined> = { LISTEN_PID: "1", LISTEN_FDS: "1", PATH: "/bin" };
  expect(takeInheritedSockets(environment, 2)).toEqual({ sockets: [], warnings: [] });
  expect(environment).toEqual({ PATH: "/bin" });
  expect(takeInheritedSockets({}, 2).sockets).toEqual([]);
  expect(takeInheritedSockets({ LISTEN_PID: "2", LISTEN_FDS: "many" }, 2).sockets).toEqual([]);
});

/** Serves what it is handed; tells what that is, and what a child of its own would see of it. */
const CHILD = `
  import { serveInherited } from "${import.meta.dir}/api-listener.ts";
  import { takeInheritedSockets } from "${import.meta.dir}/inherited-sockets.ts";
  const { sockets, warnings } = takeInheritedSockets(process.env, process.pid);
  const listeners = [];
  for (const socket of sockets) {
    listeners.push(await serveInherited(socket, async (request) => new Response("served " + new URL(request.url).pathname)));
  }
  const { stdout } = Bun.spawnSync(["sh", "-c", "env | grep -c LISTEN_; echo $(ls /proc/self/fd)"], { env: process.env });
  console.log(JSON.stringify({ endpoints: sockets.map((each) => each.endpoint), warnings, child: stdout.toString() }));
  for await (const _ of Bun.stdin.stream()) break;
  for (const listener of listeners) await listener.close();
`;

interface WithHandle {
  readonly _handle: { readonly fd: number };
}

function listen(where: object): Promise<Server> {
  const server = createServer();
  return new Promise((resolve) => server.listen(where, () => resolve(server)));
}

test("a child serves on the sockets it is handed, closes them for its own children, and leaves the file", async () => {
  const path = `${folder()}/flt.sock`;
  const servers = [await listen({ path }), await listen({ host: "127.0.0.1", port: 0 })];
  const [unix = -1, tcp = -1] = servers.map((server) => (server as unknown as WithHandle)._handle.fd);
  const address = servers[1]?.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const start = 'LISTEN_PID=$$ LISTEN_FDS=3 LISTEN_FDNAMES=a:b:stray exec "$0" -e "$1"';
  const child = Bun.spawn(["sh", "-c", start, process.execPath, CHILD], {
    stdio: ["pipe", "pipe", "inherit", unix, tcp, Bun.file("/dev/null")],
  });
  const { value } = await child.stdout.getReader().read();
  const seen = JSON.parse(new TextDecoder().decode(value)) as object;
  expect(seen).toEqual({
    endpoints: [`unix://${path}`, `http://127.0.0.1:${port}`],
    warnings: ['Cannot serve the API on "stray" from systemd: it is no listening stream socket with an address'],
    child: "0\n0 1 2 3\n",
  });
  // The child is the only one left to accept.
  await new Promise((resolve) => servers[1]?.close(resolve));
  expect(await (await fetch(`http://127.0.0.1:${port}/units`)).text()).toBe("served /units");
  child.stdin.end();
  expect(await child.exited).toBe(0);
  expect(existsSync(path)).toBe(true);
  servers[0]?.close();
});
