/**
 * GET /flt/v1/usage and the texts beside it: all machines in one stream, at the reader's pace, and nothing asked for behind its back.
 *
 * @module
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { FakeFleet } from "../../../test/fakes/fake-fleet.ts";
import { ManualClock, settle } from "../../../test/fakes/manual-clock.ts";
import { CallError } from "../../lib/calls.ts";
import { SILENT_LOG } from "../../lib/log.ts";
import { decodeText, encodeText } from "../../lib/text.ts";
import { parseUnitFile } from "../../model/unit-file.ts";
import type { UsageEvent, UsageRequest } from "../../model/usage.ts";
import { createFleetApi, type FleetApi, type FleetApiPorts, type MachineInspection } from "./index.ts";

const M1 = "113f16a7000000000000000000000001";
const M2 = "2222222200000000000000000000000a";

let fleet: FakeFleet;
let clock: ManualClock;
let api: FleetApi;
let asked: string[];
/** Streams that are open now. */
let open: Set<string>;
let unreachable: Set<string>;
/** Machines that hold very many units. */
let crowded: Set<string>;

/** A machine that counts its samples, one each interval. */
async function* samples(id: string, request: UsageRequest, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  asked.push(`usage ${id.slice(0, 4)} ${JSON.stringify(request)}`);
  if (unreachable.has(id)) throw new CallError("not-sent", "nobody is there");
  open.add(id);
  try {
    for (let count = 1; !signal.aborted; count++) {
      const line = JSON.stringify({
        atMs: clock.now(),
        total: { tasks: count },
        units: Array.from({ length: crowded.has(id) && request.units === null ? 40_000 : 1 }, () => {
          return { name: "a.service", cpuNs: 5 };
        }),
      });
      // A line in two chunks: only whole ones count.
      yield encodeText(line.slice(0, 10));
      yield encodeText(`${line.slice(10)}\n`);
      if (request.intervalMs === null) return;
      const { intervalMs } = request;
      await new Promise<void>((resolve) => {
        clock.after(intervalMs, resolve);
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  } finally {
    open.delete(id);
  }
}

beforeEach(async () => {
  fleet = new FakeFleet();
  clock = new ManualClock();
  asked = [];
  open = new Set();
  unreachable = new Set();
  crowded = new Set();
  const text = async function* (what: string): AsyncGenerator<Uint8Array> {
    asked.push(what);
    yield encodeText(`${what}\n`);
  };
  const inspection: MachineInspection = {
    unitProperties: (id, unit, properties) => text(`properties ${unit} ${id.slice(0, 4)} [${properties.join(" ")}]`),
    unitDependencies: (id, unit, query) => text(`dependencies ${unit} ${id.slice(0, 4)} ${JSON.stringify(query)}`),
    usage: samples,
  };
  api = createFleetApi({ ...ports(), inspection });
  fleet.addMachine(M1, "10.0.0.1");
  fleet.addMachine(M2, "10.0.0.2");
  await fleet.putUnit("a.service", parseUnitFile("[Service]\nExecStart=/bin/true\n"), "launched");
  fleet.place("a.service", M1);
});

function ports(): FleetApiPorts {
  const never = (): never => {
    throw new Error("unused");
  };
  return {
    view: fleet,
    units: fleet,
    machines: fleet,
    machineCalls: { unitStatus: never, unitJournal: never },
    ready: () => true,
    tokenLimit: 100,
    version: "0",
    machineId: M1,
    log: SILENT_LOG,
    clock,
  };
}

async function get(path: string, signal?: AbortSignal): Promise<Response> {
  return await api(new Request(`http://localhost/flt/v1${path}`), signal === undefined ? {} : { signal });
}

class Lines {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  constructor({ body }: Response) {
    if (body === null) throw new Error("no body");
    this.#reader = body.getReader() as ReadableStreamDefaultReader<Uint8Array>;
  }
  /** "113f:1" for the first sample of M1, "113f:why" for a problem; null at the end. */
  async next(): Promise<string[] | null> {
    await settle();
    const { value, done } = await this.#reader.read();
    if (done) return null;
    return decodeText(value)
      .trimEnd()
      .split("\n")
      .map((line) => {
        const event = JSON.parse(line) as UsageEvent;
        const what = "problem" in event ? event.problem : String(event.total.tasks);
        return `${event.machine.id.slice(0, 4)}:${what}`;
      })
      .sort();
  }
  async leave(): Promise<void> {
    await this.#reader.cancel();
  }
}

describe("usage", () => {
  test("one sample of each machine, then the end", async () => {
    const lines = new Lines(await get("/usage"));
    expect(await lines.next()).toEqual(["113f:1", "2222:1"]);
    expect(await lines.next()).toBeNull();
    expect(asked).toEqual([
      'usage 113f {"units":null,"intervalMs":null}',
      'usage 2222 {"units":null,"intervalMs":null}',
    ]);
    expect(fleet.listeners).toBe(0);
  });

  test("only what is asked for is asked for", async () => {
    const lines = new Lines(await get("/usage?machineID=2222&unitName=a.service"));
    expect(await lines.next()).toEqual(["2222:1"]);
    expect(asked).toEqual(['usage 2222 {"units":["a.service"],"intervalMs":null}']);
  });

  test("a machine with more units than a line holds says so, and what to ask for; the others are shown", async () => {
    crowded.add(M2);
    const words =
      "Cannot show the figures of all its units: they are more than 1 MiB. Ask for some, by name or pattern";
    expect(await new Lines(await get("/usage")).next()).toEqual(["113f:1", `2222:${words}`]);
    expect(await new Lines(await get("/usage?unitName=a*")).next()).toEqual(["113f:1", "2222:1"]);
    expect(open.size).toBe(0);
  });

  test("follow: a sample an interval, the latest for a slow reader; leaving ends it all", async () => {
    const lines = new Lines(await get("/usage?follow=true&intervalMs=1000"));
    expect(await lines.next()).toEqual(["113f:1", "2222:1"]);
    await clock.advance(1_000);
    expect(await lines.next()).toEqual(["113f:2", "2222:2"]);
    for (let at = 0; at < 5; at++) await clock.advance(1_000);
    expect(await lines.next()).toEqual(["113f:7", "2222:7"]);
    expect(open.size).toBe(2);
    await lines.leave();
    await settle();
    expect([open.size, fleet.listeners]).toEqual([0, 0]);
    const before = asked.length;
    await clock.advance(10_000);
    expect(asked).toHaveLength(before);
  });

  test("a client that hangs up ends it, too, whoever waits for whom", async () => {
    const client = new AbortController();
    const lines = new Lines(await get("/usage?follow=true", client.signal));
    await lines.next();
    const waiting = lines.next();
    client.abort();
    expect(await waiting).toBeNull();
    await settle();
    expect([open.size, fleet.listeners]).toEqual([0, 0]);
  });

  test("a machine that cannot be asked says why, and is asked again; one that joins is asked, too; one that left is not", async () => {
    unreachable.add(M2);
    const lines = new Lines(await get("/usage?follow=true&intervalMs=60000"));
    expect(await lines.next()).toEqual(["113f:1", "2222:nobody is there"]);
    unreachable.clear();
    await clock.advance(2_000);
    expect(await lines.next()).toEqual(["2222:1"]);
    fleet.addMachine("33330000000000000000000000000000", "10.0.0.3");
    expect(await lines.next()).toEqual(["3333:1"]);
    unreachable.add(M1);
    fleet.removeMachine(M1);
    await clock.advance(60_000);
    await lines.next();
    await clock.advance(10_000);
    await lines.leave();
    expect(asked.filter((what) => what.startsWith("usage 113f"))).toHaveLength(1);
  });

  test.each([
    "/usage?intervalMs=249",
    "/usage?intervalMs=60001",
    "/usage?follow=maybe",
    "/usage?unitName=--help",
    "/usage?unitName=web[1",
    "/units/a.service/properties?property=--all",
    "/units/a.service/properties?property=Id&property=a%20b",
    "/units/a.service/dependencies?direction=sideways",
    "/units/a.service/dependencies?all=x",
  ])("%s is refused", async (path) => {
    expect((await get(path)).status).toBe(400);
    expect(asked).toEqual([]);
  });

  test("a machine that does not exist: 404; a daemon that cannot look: 501", async () => {
    expect((await get("/usage?machineID=9")).status).toBe(404);
    api = createFleetApi(ports());
    for (const path of ["/usage", "/units/a.service/properties", "/units/a.service/dependencies"]) {
      expect((await get(path)).status).toBe(501);
    }
  });
});

test("properties and dependencies come from the unit's machine", async () => {
  expect(await (await get("/units/a.service/properties?property=Id&property=MainPID")).text()).toBe(
    "properties a.service 113f [Id MainPID]\n",
  );
  expect(await (await get("/units/a.service/dependencies?direction=after&all=true")).text()).toBe(
    'dependencies a.service 113f {"direction":"after","all":true,"plain":false}\n',
  );
  expect((await get("/units/nobody.service/properties")).status).toBe(404);
});
