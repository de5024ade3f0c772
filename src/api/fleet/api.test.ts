/**
 * What the API is told by the cluster and passes on, what it costs to read, and what is counted.
 *
 * @module
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { ApiWorld, OTHER, optionsOf } from "../../../test/fakes/api-world.ts";
import { FakeFleet } from "../../../test/fakes/fake-fleet.ts";
import { CountingMetrics } from "../../../test/fakes/metrics.ts";
import { BrokenRequestError } from "../../platform/http-connections.ts";
import { KvError } from "../../registry/types.ts";

let world: ApiWorld;
beforeEach(async () => {
  world = await ApiWorld.make();
});

test("metrics: beside the API, ready or not; 404 where there are none", async () => {
  expect((await world.ask("GET", "/metrics")).status).toBe(404);
  const metricsText = async () => ({ text: "flt_up 1\n", contentType: "text/plain; version=0.0.4" });
  world.change({ metricsText, ready: () => "not yet" });
  const response = await world.ask("GET", "/metrics");
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4");
  expect(await response.text()).toBe("flt_up 1\n");
  expect((await world.ask("POST", "/metrics", {})).status).toBe(405);
});

test("requests are counted by operation and status; no name from a path becomes a label", async () => {
  const metrics = new CountingMetrics();
  world.change({ metrics });
  await world.ask("GET", "/fleet/v1/units/hello.service");
  await world.ask("GET", "/flt/v1/units/hello.service");
  await world.ask("GET", "/fleet/v1/units/nobody.service");
  await world.ask("GET", "/nowhere");
  await world.ask("POST", "/fleet/v1/units", {});
  expect(Object.fromEntries(metrics.values)).toEqual({
    "flt_api_requests_total{operation=getUnit,status=200}": 2,
    "flt_api_requests_total{operation=getUnit,status=404}": 1,
    "flt_api_requests_total{operation=none,status=404}": 1,
    "flt_api_requests_total{operation=none,status=405}": 1,
    "flt_api_request_duration_seconds{operation=getUnit}": 3,
    "flt_api_request_duration_seconds{operation=none}": 2,
  });
});

describe("the cluster refuses", () => {
  const cases = [
    ["unavailable", 503, "try again"],
    ["unknown-fate", 504, "may or may not have happened"],
    ["request-too-large", 413, ""],
    ["no-space", 507, "disk is full"],
    ["closed", 503, "stopping"],
  ] as const;
  for (const [code, status, words] of cases) {
    test(`a write: ${code} is ${status}`, async () => {
      world.fleet.failure = new KvError(code, "the store said so");
      const response = await world.ask("PUT", "/fleet/v1/units/hello.service", { desiredState: "loaded" });
      expect(response.status).toBe(status);
      const text = await response.text();
      expect(text).toContain(words);
      expect(text).toContain("the store said so");
    });
  }

  test("a read without quorum is 503, unless stale will do", async () => {
    world.fleet.failure = new KvError("unavailable", "no quorum");
    expect((await world.ask("GET", "/fleet/v1/units")).status).toBe(503);
    expect((await world.ask("GET", "/flt/v1/events")).status).toBe(503);
    expect((await world.ask("GET", "/fleet/v1/units?stale=true")).status).toBe(503);
    expect((await world.ask("GET", "/flt/v1/units?stale=true")).status).toBe(200);
  });

  test("a fault of ours is 500, world.logged, and tells nothing of itself", async () => {
    const broken = new FakeFleet();
    broken.sync = () => Promise.reject(new Error("secret detail"));
    world.change({ view: broken });
    const response = await world.ask("GET", "/fleet/v1/units");
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain("secret");
    expect(world.logged[0]).toContain("secret detail");
  });

  test("every read asks the cluster first, every write is left to the registry alone", async () => {
    const before = world.fleet.syncs;
    await world.ask("PUT", "/fleet/v1/units/x.service", { desiredState: "launched", options: optionsOf(OTHER) });
    await world.ask("DELETE", "/fleet/v1/units/x.service");
    expect(world.fleet.syncs).toBe(before);
    for (const path of ["units", "units/hello.service", "state", "machines"])
      await world.ask("GET", `/fleet/v1/${path}`);
    expect(world.fleet.syncs).toBe(before + 4);
  });
});

test("a client that leaves in the middle of its body is refused, and is no fault worth a line in the log", async () => {
  const body = new ReadableStream({ pull: (controller) => controller.error(new BrokenRequestError()) });
  const headers = { "content-type": "application/json" };
  const response = await world.api(
    new Request("http://localhost/fleet/v1/units/a.service", { method: "PUT", headers, body }),
  );
  expect(response.status).toBe(400);
  expect(world.logged).toEqual([]);
});
