/**
 * Clearance on a view that could not see for a while; the rest of it is held to whole agents (fence.test.ts, fence-races.test.ts).
 *
 * @module
 */
import { expect, test } from "bun:test";
import { machineId, RegistryWorld, registration, unitReport } from "../../test/fakes/registry-world.ts";
import { SILENT_LOG } from "../lib/log.ts";
import { FENCE_OVER_MS } from "../model/fence.ts";
import { parseUnitFile } from "../model/unit-file.ts";
import { becomeEngine, RegistryView } from "../registry/index.ts";
import { type Kv, KvError, type RangeRequest, type Watch, type WatchRequest } from "../store/kv.ts";
import { Clearance } from "./clearance.ts";

const TTL_MS = 4_000;
const SELF = machineId(1);
const FILE = parseUnitFile("[Service]\nExecStart=/bin/sleep 1000\n[X-Flt]\nFence=strict\n");

test("a machine that was lost and is back while the view could not tell counts as lost; one that left and is back does not", async () => {
  const world = await new RegistryWorld().start();
  const { clock, keys, local, units, agents } = world;
  const session = await agents.register(registration(1), 1_000_000);
  const engine = await becomeEngine(local, keys, SELF, world.view);
  for (const name of ["a.service", "b.service", "c.service"]) await units.putUnit(name, FILE, "launched");
  await clock.advance(100);
  const jobs = [...world.view.jobs()];
  await engine.place(
    jobs.map((job) => ({ job, to: SELF, reason: "test" })),
    [],
  );
  let isCut = false;
  let watching: Watch | null = null;
  const kv: Pick<Kv, "range" | "watch"> = {
    range: async (request: RangeRequest) => {
      if (isCut) throw new KvError("unavailable", "Cannot reach the store");
      return await local.range(request);
    },
    watch: (request: WatchRequest) => {
      watching = local.watch(request);
      return watching;
    },
  };
  const view = new RegistryView({ kv: kv as Kv, keys, clock, log: SILENT_LOG });
  const away = async (what: () => Promise<unknown>) => {
    isCut = true;
    watching?.close();
    await clock.advance(10);
    await what();
    isCut = false;
    await clock.advance(1_500);
  };
  let other = await agents.register(registration(2), TTL_MS);
  await other.publish([unitReport(2, "a.service")], []);
  await view.start();
  const clearance = new Clearance({
    neighbours: view,
    reports: { confirm: () => Promise.resolve(session), isAttached: () => true },
    clock,
    log: SILENT_LOG,
    selfId: SELF,
  });
  clearance.start();
  let granted = "";
  const ask = (name: string) =>
    void clearance.granted(name, new AbortController().signal).then(() => {
      granted += name;
    });

  await away(async () => {
    await other.leave();
    other = await agents.register(registration(2), TTL_MS);
  });
  ask("a.service");
  await clock.advance(100);
  expect(granted).toBe("a.service");

  await away(async () => {
    await clock.advance(TTL_MS + 1_000);
    other = await agents.register(registration(2), 1_000_000);
  });
  ask("b.service");
  await clock.advance(FENCE_OVER_MS - 2_000);
  expect(granted).toBe("a.service");
  await clock.advance(2_000);
  expect(granted).toBe("a.serviceb.service");

  // The view is made anew, and nothing has happened.
  await away(async () => {});
  ask("c.service");
  await clock.advance(100);
  expect(granted).toBe("a.serviceb.servicec.service");
  clearance.stop();
  await view.stop();
  await world.stop();
});
