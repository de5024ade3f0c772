/**
 * The whole loop over a store that fails at random: whatever is refused, lost or done twice, no revision ever shows a unit on
 * two machines or a job that disagrees with its orders, and when the faults end everything finds its place.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { EngineWorld } from "../../test/fakes/engine-world.ts";
import { machineId, unitOptions } from "../../test/fakes/registry-world.ts";
import type { JobState } from "../model/states.ts";
import { unitHash } from "../model/unit-file.ts";
import { RegistryUnits } from "../registry/index.ts";
import { decodeJob } from "../registry/records.ts";
import { type Kv, KvError, type TxnRequest, type TxnResponse } from "../store/kv.ts";

const NAMES = ["a.service", "b.service", "c.service", "d.service"];
const DIGITS = [1, 2, 3];

type Fault = "none" | "slow" | "unavailable" | "lost before" | "lost after" | "lost, done late";

/** Hands out one fault a write, in the order drawn; the users of this test are spared, so that their word is known. */
class FlakyKv {
  world: EngineWorld | null = null;
  faults: Fault[] = [];
  late: (() => Promise<unknown>)[] = [];
  wrap(kv: Kv): Kv {
    const txn = (request: TxnRequest) => this.#txn(kv, request);
    return new Proxy(kv, {
      get(target, property) {
        if (property === "txn") return txn;
        const value: unknown = Reflect.get(target, property);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }
  async #txn(kv: Kv, request: TxnRequest): Promise<TxnResponse> {
    const fault = this.faults.shift() ?? "none";
    if (fault === "none") return kv.txn(request);
    if (fault === "slow") {
      await new Promise<void>((resolve) => this.world?.clock.after(700, resolve));
      return kv.txn(request);
    }
    if (fault === "unavailable") throw new KvError("unavailable", "no leader");
    if (fault === "lost after") await kv.txn(request);
    if (fault === "lost, done late") this.late.push(() => kv.txn(request));
    throw new KvError("unknown-fate", "no answer");
  }
}

/** Follows every revision from outside the registry's own view. */
async function watchRevisions(world: EngineWorld, problems: string[]): Promise<void> {
  const jobs = new Map<string, string | null>();
  const orders = new Map<string, Set<string>>();
  for await (const { events, revision } of world.local.watch({ ...world.keys.all, startRevision: 1 })) {
    for (const { type, kv } of events) {
      const key = world.keys.parse(kv.key);
      if (key?.kind === "job") {
        if (type === "put") jobs.set(key.name, decodeJob(kv.value).machine);
        else jobs.delete(key.name);
      } else if (key?.kind === "schedule") {
        const holders = orders.get(key.name) ?? new Set();
        if (type === "put") holders.add(key.machineId);
        else holders.delete(key.machineId);
        orders.set(key.name, holders);
      }
    }
    for (const name of NAMES) {
      const wanted = jobs.get(name) ?? null;
      const present = [...(orders.get(name) ?? [])];
      if (present.length === (wanted === null ? 0 : 1) && present[0] === (wanted ?? undefined)) continue;
      problems.push(`revision ${revision}: "${name}" has its place on ${wanted}, its orders on ${present.join(" ")}`);
    }
  }
}

const action = fc.oneof(
  fc.record({
    kind: fc.constant("put" as const),
    name: fc.constantFrom(...NAMES),
    placement: fc.constantFrom("", "", "MachineOf=a.service", "Conflicts=b*", "Replaces=c*", "MachineMetadata=k=1"),
  }),
  fc.record({ kind: fc.constantFrom("destroy" as const, "stop" as const), name: fc.constantFrom(...NAMES) }),
  fc.record({
    kind: fc.constantFrom("join" as const, "leave" as const, "power off" as const, "crash" as const),
    digit: fc.constantFrom(...DIGITS),
  }),
  fc.record({ kind: fc.constantFrom("new engine" as const, "late" as const, "wait" as const) }),
);
type Action = typeof action extends fc.Arbitrary<infer T> ? T : never;

interface Life {
  readonly world: EngineWorld;
  readonly flaky: FlakyKv;
  readonly users: RegistryUnits;
  /** What the users asked for last. */
  readonly wishes: Map<string, { readonly hash: string; readonly desiredState: JobState }>;
  readonly beating: Set<number>;
}

/** Agents of this test see the store's faults, too, and give up. */
async function act(life: Life, what: Action): Promise<void> {
  const { world, flaky, users, wishes, beating } = life;
  switch (what.kind) {
    case "put":
      await users.putUnit(what.name, unitOptions(what.placement), "launched");
      wishes.set(what.name, { hash: unitHash(unitOptions(what.placement)), desiredState: "launched" });
      return;
    case "destroy":
      await users.destroyUnit(what.name);
      wishes.delete(what.name);
      return;
    case "stop": {
      await users.setDesiredState(what.name, "inactive");
      const wish = wishes.get(what.name);
      if (wish !== undefined) wishes.set(what.name, { ...wish, desiredState: "inactive" });
      return;
    }
    case "join":
      world.probe.alive.add(what.digit);
      world.machines.set(what.digit, await world.agents.register(registrationOf(what.digit), 4_000));
      beating.add(what.digit);
      return;
    case "leave":
      if (beating.delete(what.digit)) await world.machines.get(what.digit)?.leave();
      return;
    case "power off":
    case "crash":
      beating.delete(what.digit);
      if (what.kind === "power off") world.probe.alive.delete(what.digit);
      return;
    case "new engine":
      // The former one goes on, as a leader that was paused does.
      await world.startEngine();
      return;
    case "late":
      await flaky.late.shift()?.();
      return;
    case "wait":
      await world.clock.advance(3_000);
      return;
  }
}
function registrationOf(digit: number) {
  const metadata: Record<string, string> = digit === 1 ? { k: "1" } : {};
  const publicIp = `10.0.0.${digit}`;
  const identity = `identity-${digit}`;
  return {
    id: machineId(digit),
    identity,
    publicIp,
    metadata,
    version: "",
    peerAddress: `${publicIp}:2380`,
    format: 1,
  };
}

/** As agents do it: a daemon whose lease is over registers again. */
async function pass(world: EngineWorld, ms: number, beating: ReadonlySet<number>): Promise<void> {
  for (let left = ms; left > 0; left -= 1_000) {
    for (const digit of beating) {
      await ignoringKvErrors(async () => {
        try {
          await world.machines.get(digit)?.heartbeat();
        } catch (error) {
          if (!(error instanceof KvError) || error.code !== "lease-not-found") throw error;
          world.machines.set(digit, await world.agents.register(registrationOf(digit), 4_000));
        }
      });
    }
    await world.clock.advance(1_000);
  }
}

/** An agent's action may wait for a slow write: then life goes on beside it. */
async function bounded(world: EngineWorld, work: () => Promise<void>): Promise<void> {
  void ignoringKvErrors(work);
  await world.settle();
}

async function ignoringKvErrors(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof KvError)) throw error;
  }
}

const fault = fc.constantFrom<Fault>(
  "none",
  "none",
  "none",
  "unavailable",
  "lost before",
  "lost after",
  "lost, done late",
);
const step = fc.record({
  actions: fc.array(action, { minLength: 1, maxLength: 4, size: "max" }),
  faults: fc.array(fault, { maxLength: 5, size: "max" }),
});

async function live(steps: readonly { readonly actions: readonly Action[]; readonly faults: readonly Fault[] }[]) {
  const flaky = new FlakyKv();
  const world = new EngineWorld((kv) => flaky.wrap(kv));
  const problems: string[] = [];
  flaky.world = world;
  const watching = watchRevisions(world, problems).catch((error: unknown) => error);
  await world.start();
  const beating = new Set<number>();
  const users = new RegistryUnits(world.local, world.keys, world.view);
  const life: Life = { world, flaky, users, wishes: new Map(), beating };
  const engines = [world.engine];
  for (const { actions, faults } of steps) {
    flaky.faults = [...faults];
    for (const what of actions) {
      await bounded(world, () => act(life, what));
      if (world.engine !== engines.at(-1)) engines.push(world.engine);
    }
    await pass(world, 1_000, beating);
  }
  flaky.faults = [];
  for (const late of flaky.late) {
    await ignoringKvErrors(async () => {
      await late();
    });
  }
  await ignoringKvErrors(() => world.startEngine());
  engines.push(world.engine);
  await pass(world, 70_000, beating);
  const wished = [...life.wishes].map(([name, wish]) => ({ name, ...wish }));
  const places = [...world.view.jobs()].map((job) => ({ job, isExplained: world.view.reasons(job.name).length > 0 }));
  const registered = new Set([...world.view.machines()].map(({ id }) => id));
  for (const engine of engines) void engine?.stop();
  await world.stop();
  await watching;
  return { problems, places, registered, wished };
}

test("no fault of the store breaks a place, and all is well when the faults end", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 10, size: "max" }), async (steps) => {
      const { problems, places, registered, wished } = await live(steps);
      expect(problems).toEqual([]);
      const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
      const present = places.map(({ job: { name, hash, desiredState } }) => ({ name, hash, desiredState }));
      expect(present).toEqual(wished.sort(byName));
      for (const { job, isExplained } of places) {
        if (job.desiredState === "inactive") expect(job.machine).toBeNull();
        else if (job.machine === null) expect([job.name, isExplained]).toEqual([job.name, true]);
        else expect([job.name, registered.has(job.machine)]).toEqual([job.name, true]);
      }
    }),
    { numRuns: Number(process.env.FLT_FAULT_RUNS ?? 100) },
  );
}, 300_000);
