/**
 * The client's bulk changes: parts that the API takes, an outcome for each unit whatever happens on the way.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { ManualClock } from "../../test/fakes/manual-clock.ts";
import type { UnitBatchEntity, UnitBatchItemEntity } from "../model/entities.ts";
import { type Fetch, FleetClient, parseEndpoint } from "./index.ts";

type Answer = (units: readonly UnitBatchItemEntity[], part: number) => Response | Promise<Response>;

interface World {
  readonly client: FleetClient;
  readonly parts: (readonly UnitBatchItemEntity[])[];
}

function world(answer: Answer): World {
  const parts: (readonly UnitBatchItemEntity[])[] = [];
  const send: Fetch = async (url, init) => {
    expect(`${init.method} ${new URL(url).pathname}`).toBe("POST /flt/v1/units:batch");
    const { units } = JSON.parse(init.body ?? "") as UnitBatchEntity;
    parts.push(units);
    return await answer(units, parts.length);
  };
  const endpoint = parseEndpoint("unix:///run/flt.sock");
  return {
    client: new FleetClient({ fetch: send, endpoint, clock: new ManualClock(), requestTimeoutMs: 3_000 }),
    parts,
  };
}

function done(units: readonly UnitBatchItemEntity[]): Response {
  return Response.json({ units: units.map(({ name }) => ({ name, status: 204 })) });
}

const changes = (count: number): UnitBatchItemEntity[] =>
  Array.from({ length: count }, (_, index) => ({ name: `u${index}.service`, desiredState: "loaded" }));
const kinds = (outcomes: readonly { kind: string }[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const { kind } of outcomes) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
};

test("many go out in parts, in order, and nothing goes out for nothing", async () => {
  const { client, parts } = world(done);
  expect(await client.changeUnits([])).toEqual([]);
  expect(parts).toEqual([]);
  const outcomes = await client.changeUnits(changes(1_201));
  expect(parts.map((part) => part.length)).toEqual([500, 500, 201]);
  expect(outcomes.map(({ name }) => name)).toEqual(changes(1_201).map(({ name }) => name));
  expect(kinds(outcomes)).toEqual({ done: 1_201 });
});

test("parts stay within the API's limit of bytes; what is too large alone goes alone", async () => {
  const { client, parts } = world(done);
  const large = (name: string, size: number): UnitBatchItemEntity => {
    return { name, options: [{ section: "A", name: "b", value: "ä".repeat(size) }] };
  };
  await client.changeUnits([large("a.service", 200_000), large("b.service", 200_000), large("c.service", 600_000)]);
  expect(parts.map((part) => part.map(({ name }) => name))).toEqual([["a.service"], ["b.service"], ["c.service"]]);
});

test("what is wrong with one unit is that unit's outcome", async () => {
  const { client } = world((units) =>
    Response.json({
      units: units.map(({ name }, index) =>
        index === 1 ? { name, status: 409, error: { code: 409, message: "no such unit" } } : { name, status: 201 },
      ),
    }),
  );
  const outcomes = await client.changeUnits(changes(3));
  expect(outcomes[0]).toEqual({ name: "u0.service", kind: "done", status: 201 });
  expect(outcomes[1]).toMatchObject({
    kind: "failed",
    error: { message: "no such unit", status: 409, code: "refused" },
  });
  expect(outcomes[2]?.kind).toBe("done");
});

test("a part that is refused does not keep the next from being sent; one without an answer does", async () => {
  const refusal = { error: { code: 503, message: "no quorum" } };
  const refused = world((units, part) => (part === 1 ? Response.json(refusal, { status: 503 }) : done(units)));
  expect(kinds(await refused.client.changeUnits(changes(1_000)))).toEqual({ failed: 500, done: 500 });
  const lost = world(() => Promise.reject(new Error("socket closed")));
  const outcomes = await lost.client.changeUnits(changes(1_000));
  expect(lost.parts.length).toBe(1);
  expect(kinds(outcomes)).toEqual({ failed: 500, "not-sent": 500 });
  expect(outcomes[0]).toMatchObject({ error: { code: "unreachable" } });
});

test("the caller's signal: what is under way is heard out, the rest is not sent", async () => {
  const abort = new AbortController();
  const { client, parts } = world((units) => {
    abort.abort();
    return done(units);
  });
  const outcomes = await client.changeUnits(changes(700), abort.signal);
  expect(parts.length).toBe(1);
  expect(kinds(outcomes)).toEqual({ done: 500, "not-sent": 200 });
});

test("an answer that is not about these units is no answer", async () => {
  for (const body of [{}, { units: [] }, { units: [{ name: "other.service", status: 204 }] }, { units: 7 }, "text"]) {
    const { client } = world(() => Response.json(body));
    const [outcome] = await client.changeUnits(changes(1));
    expect(outcome).toMatchObject({ kind: "failed", error: { code: "bad-answer" } });
  }
});

test("metadata edits become a JSON Patch, with keys escaped as RFC 6901 asks", async () => {
  let sent: unknown;
  const send: Fetch = async (url, init) => {
    expect(`${init.method} ${new URL(url).pathname}`).toBe("PATCH /flt/v1/machines");
    sent = JSON.parse(init.body ?? "");
    return new Response(null, { status: 204 });
  };
  const endpoint = parseEndpoint("unix:///run/flt.sock");
  const client = new FleetClient({ fetch: send, endpoint, clock: new ManualClock(), requestTimeoutMs: 3_000 });
  await client.editMetadata([
    { machineID: "m", key: "a/b~c", value: "v" },
    { machineID: "m", key: "k", value: null },
  ]);
  expect(sent).toEqual([
    { op: "add", path: "/m/metadata/a~1b~0c", value: "v" },
    { op: "remove", path: "/m/metadata/k" },
  ]);
});
