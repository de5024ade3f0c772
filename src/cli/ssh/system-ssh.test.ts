/**
 * The tunnel and the foreground ssh as real processes, with a script in ssh's place: it runs the far line on this machine.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { TunnelError } from "./port.ts";
import { SystemSsh } from "./system-ssh.ts";

/** Options are passed over; the line after the host is the far command. `refuse`, `key` and `early` are hosts that fail. */
const FAKE_SSH = `#!/bin/sh
echo "$@" >>"$FAKE_SSH_LOG"
while [ "$1" != -- ]; do shift; done
case "$2" in
  refuse) echo "ssh: connect to host refuse port 22: Connection refused" >&2; exit 255 ;;
  key) echo "Host key verification failed." >&2; exit 255 ;;
esac
shift 2
exec sh -c "$*"
`;

const MAIN = `${import.meta.dir}/../../main.ts`;
const folder = mkdtempSync(`${tmpdir()}/flt-ssh-test-`);
const log = `${folder}/log`;
const environment = { path: process.env.PATH, tmp: process.env.TMPDIR };
const noSignal = new AbortController().signal;
let said = "";
let server: ReturnType<typeof Bun.serve>;
const ssh = new SystemSsh((text) => {
  said += text;
});

beforeAll(() => {
  writeFileSync(`${folder}/ssh`, FAKE_SSH);
  // The far host's flt.
  writeFileSync(`${folder}/flt`, `#!/bin/sh\nexec ${process.execPath} ${MAIN} "$@"\n`);
  for (const name of ["ssh", "flt"]) chmodSync(`${folder}/${name}`, 0o755);
  process.env.PATH = `${folder}:${environment.path}`;
  process.env.FAKE_SSH_LOG = log;
  process.env.TMPDIR = folder;
  server = Bun.serve({
    unix: `${folder}/api.sock`,
    fetch: async (request) => {
      if (request.method === "POST") return new Response(await request.arrayBuffer());
      return new Response(
        new ReadableStream({
          start(controller) {
            controller.enqueue(new TextEncoder().encode("first\n"));
            request.signal.addEventListener("abort", () => streamEnded.resolve());
          },
        }),
      );
    },
  });
});
afterAll(async () => {
  process.env.PATH = environment.path;
  if (environment.tmp === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = environment.tmp;
  await server.stop(true);
  rmSync(folder, { recursive: true });
});
const streamEnded = Promise.withResolvers<void>();

describe("tunnel", () => {
  test("requests and streams side by side; closing it ends its processes and removes its socket", async () => {
    const line = `exec flt fd-forward ${folder}/api.sock`;
    const plan = { options: ["-l", "core"], host: "gate", carry: { kind: "command", line } } as const;
    const tunnel = await ssh.openTunnel(plan, noSignal);
    const stream = await fetch("http://flt/events", { unix: tunnel.socketPath });
    const reader = stream.body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe("first\n");
    const big = new Uint8Array(3_000_000).fill(7);
    const answer = await fetch("http://flt/echo", { unix: tunnel.socketPath, method: "POST", body: big });
    expect((await answer.bytes()).length).toBe(big.length);
    await reader?.cancel();
    await streamEnded.promise;
    await tunnel.close();
    expect(existsSync(tunnel.socketPath)).toBe(false);
    expect(readdirSync(folder).filter((name) => /^flt-/.test(name))).toEqual([]);
    const calls = (await Bun.file(log).text()).trim().split("\n");
    expect(calls[0]).toContain("-l core -o ServerAliveInterval=5 -o ServerAliveCountMax=3 -M -S ");
    expect(calls[1]).toMatch(/-o ControlMaster=no .* -T -- gate exec flt fd-forward/);
    expect(tunnel.proxyOptions[1]).toMatch(
      /^ProxyCommand=ssh -l core -S \S+ -o ControlMaster=no -W '\[%h\]:%p' -- gate$/,
    );
    expect(said).toBe("");
  });

  test("what fails over there is told here", async () => {
    const carry = { kind: "command", line: `exec flt fd-forward ${folder}/none.sock` } as const;
    const tunnel = await ssh.openTunnel({ options: [], host: "gate", carry }, noSignal);
    await expect(fetch("http://flt/x", { unix: tunnel.socketPath })).rejects.toThrow();
    await tunnel.close();
    expect(said).toContain(`Cannot connect to "${folder}/none.sock": there is no such socket\n`);
  });

  test("no connection, a refused key, Ctrl-C", async () => {
    const carry = { kind: "command", line: "true" } as const;
    const open = (host: string, signal = noSignal): Promise<unknown> =>
      ssh.openTunnel({ options: [], host, carry }, signal).catch((error: unknown) => error);
    expect(await open("refuse")).toMatchObject({ result: { status: 255, isKeyRefused: false } });
    expect(said).toContain("Connection refused");
    const refused = await open("key");
    expect(refused).toBeInstanceOf(TunnelError);
    expect(refused).toMatchObject({ result: { isKeyRefused: true } });
    const abort = new AbortController();
    abort.abort();
    expect(await open("gate", abort.signal)).toMatchObject({
      message: 'Cannot open the tunnel to "gate": interrupted',
    });
    expect(readdirSync(folder).filter((name) => /^flt-/.test(name))).toEqual([]);
  });
});

describe("in the foreground", () => {
  test("the exit status passes through; a signal ends it", async () => {
    expect(await ssh.run(["--", "h", "exit 7"], noSignal)).toEqual({ status: 7, isKeyRefused: false });
    const abort = new AbortController();
    const ended = ssh.run(["--", "h", "exec sleep 60"], abort.signal);
    abort.abort();
    expect((await ended).status).toBe(143);
  });

  test("no ssh on this machine", async () => {
    process.env.PATH = "/nonexistent";
    await expect(ssh.run(["--", "h"], noSignal)).rejects.toThrow("Cannot run ssh: there is no such program");
    process.env.PATH = `${folder}:${environment.path}`;
  });
});

test("fd-forward: half-closed and large, both ways", async () => {
  const echo = Bun.listen({
    unix: `${folder}/echo.sock`,
    allowHalfOpen: true,
    socket: {
      data: (socket, chunk) => void socket.write(chunk),
      end: (socket) => void socket.end("bye"),
    },
  });
  const child = Bun.spawn([`${folder}/flt`, "fd-forward", `${folder}/echo.sock`], {
    stdin: new Blob(["x".repeat(50_000)]),
    stdout: "pipe",
  });
  const text = await new Response(child.stdout).text();
  expect([text.length, text.slice(-4), await child.exited]).toEqual([50_003, "xbye", 0]);
  echo.stop(true);
});
