/**
 * Client and API over a real unix socket: what Bun's fetch and server add to the functions between them.
 *
 * @module
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { FakeFleet } from "../../test/fakes/fake-fleet.ts";
import { createFleetApi } from "../api/fleet/index.ts";
import type { Clock } from "../lib/clock.ts";
import { SILENT_LOG } from "../lib/log.ts";
import { decodeText, encodeText } from "../lib/text.ts";
import { parseUnitFile } from "../model/unit-file.ts";
import { type ApiListener, listenApi } from "../platform/api-listener.ts";
import { FleetClient, parseEndpoint } from "./index.ts";

const M1 = "113f16a7000000000000000000000001";
const clock: Clock = {
  now: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};
const folder = mkdtempSync(`${tmpdir()}/flt-client-`);
const endpoint = `unix://${folder}/flt.sock`;
const fleet = new FakeFleet();
let listener: ApiListener;
/** Settles when the journal on the unit's machine was told to end. */
const journalEnded = Promise.withResolvers<void>();
const speak = Promise.withResolvers<void>();

function clientFor(text: string): FleetClient {
  return new FleetClient({
    fetch: (url, init) => fetch(url, init as RequestInit),
    endpoint: parseEndpoint(text),
    clock,
    requestTimeoutMs: 300,
  });
}

beforeAll(async () => {
  fleet.addMachine(M1, "10.0.0.1");
  await fleet.putUnit("a\\x2d.service", parseUnitFile("[Service]\nExecStart=/bin/true\n"), "launched");
  fleet.place("a\\x2d.service", M1);
  const api = createFleetApi({
    view: fleet,
    units: fleet,
    machines: fleet,
    machineCalls: {
      async *unitStatus() {
        yield encodeText("status");
      },
      async *unitJournal(_machine, _unit, _request, signal) {
        try {
          await speak.promise;
          yield encodeText("first line\n");
          await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
        } finally {
          journalEnded.resolve();
        }
      },
    },
    ready: () => true,
    tokenLimit: 100,
    version: "0.1.0",
    machineId: M1,
    log: SILENT_LOG,
    clock,
  });
  listener = await listenApi(endpoint, api);
});
afterAll(async () => {
  await listener.close();
  rmSync(folder, { recursive: true });
});

test("requests, names with a backslash, statuses", async () => {
  const client = clientFor(endpoint);
  expect((await client.unit("a\\x2d.service"))?.machineID).toBe(M1);
  expect(await client.unit("nobody.service")).toBeNull();
  expect(await client.destroyUnit("nobody.service")).toBe(false);
  expect(await client.version()).toEqual({ version: "0.1.0", machineID: M1 });
  expect(await client.putUnit("a\\x2d.service", { desiredState: "loaded" })).toBe(false);
});

test("leaving the event stream ends it on the other side", async () => {
  const events = clientFor(endpoint).events(["a\\x2d.service"], new AbortController().signal);
  for await (const event of events) if (event.type === "synced") break;
  const waited = Promise.withResolvers<void>();
  const look = (): void => (fleet.listeners === 0 ? waited.resolve() : void setImmediate(look));
  look();
  await waited.promise;
});

test("a followed journal may be silent for longer than the request timeout, and ends when its reader does", async () => {
  const abort = new AbortController();
  const options = { lines: 0, follow: true, output: "short" };
  const journal = clientFor(endpoint).journal("a\\x2d.service", M1, options, abort.signal);
  const first = journal.next();
  clock.after(500, () => speak.resolve());
  expect(decodeText((await first).value ?? new Uint8Array())).toBe("first line\n");
  const second = journal.next();
  abort.abort();
  await expect(second).rejects.toThrow("was cancelled");
  await journalEnded.promise;
});

test("nobody there: why, and what to do", async () => {
  await expect(clientFor(`unix://${folder}/none.sock`).machines()).rejects.toThrow(
    `Cannot reach flt at unix://${folder}/none.sock: there is no such socket. Is \`flt daemon\` running here`,
  );
  const unreachable = (code: string): Promise<unknown> =>
    new FleetClient({
      endpoint: parseEndpoint("unix:///run/flt.sock"),
      clock,
      requestTimeoutMs: 300,
      fetch: () => Promise.reject(Object.assign(new Error(code), { code })),
    }).machines();
  await expect(unreachable("EACCES")).rejects.toThrow(
    "Cannot reach flt at unix:///run/flt.sock: permission denied. It takes root, or membership of the group flt",
  );
  await expect(unreachable("ECONNREFUSED")).rejects.toThrow(
    "nothing listens there. Is `flt daemon` running here (systemctl status flt)?",
  );
  await expect(clientFor("127.0.0.1:1").machines()).rejects.toThrow("Cannot reach flt at 127.0.0.1:1: nothing listens");
});

test("a stranger at the endpoint is recognized", async () => {
  const stranger = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) => new Response(new URL(request.url).pathname.endsWith("units") ? '{"units": 7}' : "<html>"),
  });
  const client = clientFor(`http://127.0.0.1:${stranger.port}`);
  await expect(client.units()).rejects.toThrow("Cannot read the units in the answer");
  await expect(client.machines()).rejects.toThrow("it is not JSON. Is it flt that listens there?");
  await expect(client.events([], new AbortController().signal).next()).resolves.toMatchObject({ done: true });
  await stranger.stop(true);
});
