/**
 * The API's streams: events as a picture and its changes, status and journal at the reader's pace.
 *
 * @module
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { FakeFleet } from "../../../test/fakes/fake-fleet.ts";
import { ManualClock, settle } from "../../../test/fakes/manual-clock.ts";
import { CallError } from "../../lib/calls.ts";
import { SILENT_LOG } from "../../lib/log.ts";
import { decodeText, encodeText } from "../../lib/text.ts";
import { EVENT_KEEP_ALIVE_MS, type FleetEvent } from "../../model/events.ts";
import { parseUnitFile } from "../../model/unit-file.ts";
import { createFleetApi, type FleetApi, type MachineCalls } from "./index.ts";

const M1 = "113f16a7000000000000000000000001";
const M2 = "113f16a7000000000000000000000002";
const FILE = parseUnitFile("[Service]\nExecStart=/bin/true\n");

let fleet: FakeFleet;
let clock: ManualClock;
let asked: string[];
let answer: (machineId: string, signal: AbortSignal) => AsyncIterable<Uint8Array>;
let api: FleetApi;

beforeEach(async () => {
  fleet = new FakeFleet();
  clock = new ManualClock();
  asked = [];
  answer = async function* () {
    yield encodeText("some text\n");
  };
  const machineCalls: MachineCalls = {
    unitStatus: (machineId, unit, signal) => {
      asked.push(`status ${unit} ${machineId}`);
      return answer(machineId, signal);
    },
    unitJournal: (machineId, unit, request, signal) => {
      asked.push(`journal ${unit} ${machineId} ${JSON.stringify(request)}`);
      return answer(machineId, signal);
    },
  };
  api = createFleetApi({
    view: fleet,
    units: fleet,
    machines: fleet,
    machineCalls,
    ready: () => true,
    tokenLimit: 100,
    version: "0",
    machineId: M1,
    log: SILENT_LOG,
    clock,
  });
  fleet.addMachine(M1, "10.0.0.1");
  fleet.addMachine(M2, "10.0.0.2");
  await fleet.putUnit("a.service", FILE, "launched");
  await fleet.putUnit("b.service", FILE, "inactive");
});

async function get(path: string, signal?: AbortSignal): Promise<Response> {
  return await api(new Request(`http://localhost/flt/v1${path}`), signal === undefined ? {} : { signal });
}

/** Reads a stream of lines as a client does, chunk by chunk. */
class Reader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  constructor(response: Response) {
    if (response.body === null) throw new Error("no body");
    this.#reader = response.body.getReader() as ReadableStreamDefaultReader<Uint8Array>;
  }
  async events(): Promise<FleetEvent[]> {
    const { value, done } = await this.#reader.read();
    if (done) return [];
    const lines = decodeText(value).trimEnd().split("\n");
    return lines.map((line) => JSON.parse(line) as FleetEvent);
  }
  async cancel(): Promise<void> {
    await this.#reader.cancel();
  }
}

describe("events", () => {
  test("first the picture of what was asked for, then synced, then changes to it alone", async () => {
    fleet.place("a.service", M1);
    fleet.setReport({ name: "a.service", machineId: M1 });
    fleet.setReasons("b.service", [
      { machineId: M1, reason: "full" },
      { machineId: "", reason: "nobody" },
    ]);
    const reader = new Reader(await get("/events?unitName=b.service&unitName=a.service&unitName=new.service"));
    const picture = await reader.events();
    expect(picture.map((event) => event.type)).toEqual(["unit", "reasons", "unit", "state", "unit-gone", "synced"]);
    expect(picture[1]).toEqual({
      type: "reasons",
      name: "b.service",
      reasons: [{ machine: { id: M1, primaryIP: "10.0.0.1" }, reason: "full" }, { reason: "nobody" }],
    });
    expect(picture[2]).toEqual({
      type: "unit",
      name: "a.service",
      hash: fleet.job("a.service")?.hash ?? "",
      desiredState: "launched",
      global: false,
      revision: fleet.job("a.service")?.modRevision ?? 0,
      machine: { id: M1, primaryIP: "10.0.0.1" },
    });
    const next = reader.events();
    await fleet.putUnit("other.service", FILE, "launched");
    await fleet.putUnit("new.service", FILE, "loaded");
    expect(await next).toMatchObject([{ type: "unit", name: "new.service", desiredState: "loaded" }]);
    fleet.removeReport(M1, "a.service");
    expect(await reader.events()).toEqual([{ type: "state-gone", name: "a.service", machineID: M1 }]);
    await reader.cancel();
    expect(fleet.listeners).toBe(0);
    expect(clock.pending).toBe(0);
  });

  test("everything, when nothing is named: machines too", async () => {
    const reader = new Reader(await get("/events"));
    const types = (await reader.events()).map((event) => event.type);
    expect(types).toEqual(["machine", "machine", "unit", "unit", "synced"]);
    fleet.removeMachine(M2);
    expect(await reader.events()).toEqual([{ type: "machine-gone", id: M2 }]);
    await reader.cancel();
  });

  test("a slow reader misses what came between, never what is", async () => {
    const reader = new Reader(await get("/events?unitName=a.service"));
    await reader.events();
    for (let turn = 0; turn < 50; turn++) {
      await fleet.setDesiredState("a.service", turn % 2 === 0 ? "loaded" : "launched");
    }
    await fleet.setDesiredState("a.service", "inactive");
    expect(await reader.events()).toMatchObject([{ type: "unit", desiredState: "inactive" }]);
    await reader.cancel();
  });

  test("a picture larger than a chunk comes in pieces and ends with synced", async () => {
    for (let index = 0; index < 500; index++) await fleet.putUnit(`u${index}.service`, FILE, "inactive");
    const reader = new Reader(await get("/events"));
    const seen: FleetEvent[] = [];
    while (seen.at(-1)?.type !== "synced") {
      const events = await reader.events();
      expect(events.length).toBeLessThan(220);
      seen.push(...events);
    }
    expect(seen.filter((event) => event.type === "unit").length).toBe(502);
    await reader.cancel();
  });

  test("synced names the revision at which the picture was begun: what came while it was told may be missing from it", async () => {
    for (let i = 0; i < 300; i++) await fleet.putUnit(`unit-${String(i).padStart(3, "0")}.service`, FILE, "inactive");
    const reader = new Reader(await get("/events"));
    const begun = fleet.revision;
    await reader.events();
    await fleet.putUnit("unit-new.service", FILE, "inactive");
    const rest = await reader.events();
    const synced = rest.findIndex(({ type }) => type === "synced");
    expect(rest[synced]).toEqual({ type: "synced", revision: begun });
    expect(rest.slice(synced + 1)).toMatchObject([{ type: "unit", name: "unit-new.service" }]);
  });

  test("silence is broken by a keep-alive", async () => {
    const reader = new Reader(await get("/events?unitName=a.service"));
    await reader.events();
    const next = reader.events();
    await clock.advance(EVENT_KEEP_ALIVE_MS);
    expect(await next).toEqual([{ type: "keep-alive" }]);
    await reader.cancel();
  });

  test("a view that was listed anew sends its picture again", async () => {
    const reader = new Reader(await get("/events?unitName=a.service"));
    await reader.events();
    fleet.reset();
    expect((await reader.events()).map((event) => event.type)).toEqual(["reset", "unit", "synced"]);
    await reader.cancel();
  });

  test("many names fit a body; what is no list is refused", async () => {
    const post = async (body: unknown): Promise<Response> =>
      await api(
        new Request("http://localhost/flt/v1/events", {
          method: "POST",
          body: JSON.stringify(body),
          headers: { "content-type": "application/json" },
        }),
      );
    expect((await post({ unitNames: [1] })).status).toBe(400);
    expect((await post([])).status).toBe(400);
    const response = await post({ unitNames: ["b.service"] });
    expect(response.headers.get("content-type")).toBe("application/x-ndjson");
    const reader = new Reader(response);
    expect((await reader.events()).map((event) => event.type)).toEqual(["unit", "synced"]);
    await reader.cancel();
  });

  test("ends when the client goes away", async () => {
    const abort = new AbortController();
    const reader = new Reader(await get("/events?unitName=a.service", abort.signal));
    await reader.events();
    const next = reader.events();
    abort.abort();
    expect(await next).toEqual([]);
    expect(fleet.listeners).toBe(0);
  });
});

describe("status and journal", () => {
  test("ask the machine that holds the unit", async () => {
    fleet.place("a.service", M2);
    const response = await get("/units/a.service/status");
    expect(response.headers.get("content-type")).toStartWith("text/plain");
    expect(await response.text()).toBe("some text\n");
    await (await get(`/units/a.service/journal?lines=5&follow=true&output=cat&machineID=${M1}`)).text();
    expect(asked).toEqual([
      `status a.service ${M2}`,
      `journal a.service ${M1} {"lines":5,"follow":true,"output":"cat"}`,
    ]);
    await (await get("/units/a.service/journal?lines=all&since=-1h%2030min")).text();
    expect(asked.at(-1)).toBe(
      `journal a.service ${M2} {"lines":"all","since":"-1h 30min","follow":false,"output":"short"}`,
    );
  });

  test("several machines follow one another, each named; follow needs one of them", async () => {
    fleet.setReport({ name: "a.service", machineId: M1 });
    fleet.setReport({ name: "a.service", machineId: M2 });
    expect(await (await get("/units/a.service/status")).text()).toBe(
      "==> 113f16a7.../10.0.0.1 <==\nsome text\n\n==> 113f16a7.../10.0.0.2 <==\nsome text\n",
    );
    expect((await get("/units/a.service/journal?follow")).status).toBe(400);
  });

  test("refusals have their statuses", async () => {
    expect((await get("/units/nobody.service/status")).status).toBe(404);
    fleet.setReasons("a.service", [{ machineId: M1, reason: "no ssd" }]);
    const nowhere = await get("/units/a.service/status");
    expect(nowhere.status).toBe(409);
    expect(await nowhere.text()).toContain("113f16a7: no ssd");
    fleet.place("a.service", M1);
    expect((await get("/units/a.service/status?machineID=zz")).status).toBe(404);
    expect((await get("/units/a.service/status?machineID=113f")).status).toBe(400);
    expect((await get("/units/a.service/journal?lines=-1")).status).toBe(400);
    expect((await get("/units/a.service/journal?lines=1e3")).status).toBe(400);
    expect((await get("/units/a.service/journal?output=--vacuum-size")).status).toBe(400);
    expect((await get("/units/a.service/journal?since=now%0A--vacuum-size")).status).toBe(400);
    expect(asked).toEqual([]);
    answer = () => {
      throw new CallError("not-sent", "connection refused");
    };
    expect((await get("/units/a.service/status")).status).toBe(502);
    answer = () => {
      throw new CallError("refused", "Cannot read the journal: Failed to parse timestamp: soon", "bad-request");
    };
    expect((await get("/units/a.service/journal?since=soon")).status).toBe(400);
  });

  test("a silent journal does not hold the headers back, and leaving ends it", async () => {
    fleet.place("a.service", M1);
    let ended = false;
    answer = async function* (_, signal) {
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      ended = true;
    };
    const pending = get("/units/a.service/journal?follow=true&lines=0");
    await clock.advance(1_000);
    const response = await pending;
    expect(response.status).toBe(200);
    await response.body?.cancel();
    await settle();
    expect(ended).toBe(true);
    expect(clock.pending).toBe(0);
  });

  test("text is produced at the reader's pace", async () => {
    fleet.place("a.service", M1);
    let produced = 0;
    answer = async function* () {
      for (; produced < 1_000; produced++) yield encodeText("line\n");
    };
    const response = await get("/units/a.service/journal?lines=1000");
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.read();
    await settle();
    expect(produced).toBeLessThan(5);
    await reader?.cancel();
  });
});
