/**
 * Bulk changes of good and bad units in one request, against a model that knows only what spec/fleet.md says of a PUT or DELETE.
 *
 * Idea. Each item is made with the status that its own request would have got, as far as that does not hang on the cluster; the
 * rest follows from a map of names. Afterwards cluster and map must agree, unit by unit, and the list that the API shows, too.
 *
 * @module
 */
import fc from "fast-check";
import { type UnitOption, unitHash } from "../../src/model/unit-file.ts";
import { unitOptions } from "../fakes/registry-world.ts";
import { checkFiles, outcomesOf } from "./api.ts";
import { ClusterUnderFire, changedKeys, KNOWN_UNITS, mustBeUnchanged, type Snapshot } from "./cluster.ts";

interface Item {
  readonly body: Readonly<Record<string, unknown>>;
  /** What is wrong with it whatever the cluster has; null: nothing. */
  readonly badStatus: 400 | 404 | null;
}

interface Unit {
  readonly hash: string;
  readonly desiredState: string;
}

type Model = Map<string, Unit>;

const FILES: readonly (readonly UnitOption[])[] = [
  unitOptions(""),
  unitOptions("Global=true"),
  unitOptions("MachineMetadata=disk=ssd"),
];
const STATES = ["inactive", "loaded", "launched"] as const;

const goodName = fc.oneof(
  fc.constantFrom(...KNOWN_UNITS.filter((name) => !name.includes("@"))),
  fc.nat(9).map((number) => `new-${number}.service`),
);
const file = fc.constantFrom(...FILES);
const state = fc.constantFrom(...STATES);
const badName = fc.constantFrom(
  "a/b.service",
  "x",
  ".service",
  "no such.service",
  "../x.service",
  "@.service",
  "ü.service",
);
const badFile = fc.constantFrom(
  [...unitOptions("Global=true"), { section: "X-Fleet", name: "MachineID", value: "113f16a7" }],
  [{ section: "X-Fleet", name: "MachineMetadata", value: "a=b c=d" }],
  [{ section: "Service", name: "Exec\nStart", value: "x" }],
  [{ section: "Service", name: 5, value: "x" }],
  "no list",
);

/** The contract's refusals, one each. */
const badItem: fc.Arbitrary<Item> = fc.oneof(
  fc.tuple(badName, file).map(([name, options]) => bad({ name, options, desiredState: "launched" })),
  fc.tuple(goodName, badFile, state).map(([name, options, desiredState]) => bad({ name, options, desiredState })),
  fc.tuple(goodName, file).map(([name, options]) => bad({ name, options, desiredState: "running" })),
  goodName.map((name) => bad({ name, desiredState: 1 })),
  goodName.map((name) => bad({ name, delete: "yes" })),
  fc.tuple(goodName, file).map(([name, options]) => bad({ name, options, delete: true })),
  fc.tuple(goodName, state).map(([name, desiredState]) => bad({ name, desiredState, delete: true })),
  fc.constantFrom("loaded", "launched").map((desiredState) => bad({ name: "web@.service", desiredState })),
  badName.map((name): Item => ({ body: { name, delete: true }, badStatus: 404 })),
);

function bad(body: Item["body"]): Item {
  return { body, badStatus: 400 };
}

const goodItem: fc.Arbitrary<Item> = fc
  .oneof(
    { weight: 4, arbitrary: fc.record({ name: goodName, options: file, desiredState: state }) },
    { weight: 3, arbitrary: fc.record({ name: goodName, desiredState: state }) },
    { weight: 2, arbitrary: fc.record({ name: goodName, delete: fc.constant(true) }) },
    { weight: 1, arbitrary: fc.record({ name: goodName, options: file }) },
    { weight: 1, arbitrary: fc.record({ name: goodName }) },
  )
  .map((body) => ({ body, badStatus: null }));

const items = (minLength: number, maxLength: number): fc.Arbitrary<readonly Item[]> =>
  fc.uniqueArray(fc.oneof({ weight: 2, arbitrary: goodItem }, { weight: 1, arbitrary: badItem }), {
    minLength,
    maxLength,
    selector: ({ body }) => body.name,
  });

/** More units than one transaction of the store takes, so that a request is several of them. */
const longBatch = fc
  .tuple(items(0, 8), fc.integer({ min: 100, max: 200 }), file, state)
  .map(([some, count, options, desiredState]) => [
    ...some,
    ...Array.from({ length: count }, (_, index): Item => {
      return { body: { name: `many-${index}.service`, options, desiredState }, badStatus: null };
    }),
  ]);

/** One after the other on one cluster. */
export const mixedBatches = fc.oneof(
  { weight: 30, arbitrary: fc.array(items(0, 8), { minLength: 1, maxLength: 4 }) },
  { weight: 1, arbitrary: fc.array(longBatch, { minLength: 1, maxLength: 2 }) },
);

export async function checkBatches(batches: readonly (readonly Item[])[]): Promise<void> {
  await ClusterUnderFire.with(async (cluster) => {
    const model = modelOf(await cluster.snapshot());
    for (const batch of batches) await checkBatch(cluster, model, batch);
  });
}

async function checkBatch(cluster: ClusterUnderFire, model: Model, batch: readonly Item[]): Promise<void> {
  const before = await cluster.snapshot();
  const expected = batch.map((item) => ({ name: String(item.body.name), status: expect(model, item) }));
  const response = await post(cluster, { units: batch.map(({ body }) => body) });
  const text = await response.text();
  cluster.checkFaults();
  if (response.status !== 200) throw new Error(`A batch that can be read is refused with ${response.status}: ${text}`);
  const got = outcomesOf(text).map(({ name, status }) => ({ name, status }));
  if (JSON.stringify(got) !== JSON.stringify(expected)) {
    throw new Error(`Expected ${JSON.stringify(expected)}, the answer is ${JSON.stringify(got)}`);
  }
  const after = await cluster.snapshot();
  checkAgainst(model, after);
  const refused = new Set(expected.flatMap(({ name, status }) => (status >= 400 ? [name] : [])));
  const touched = changedKeys(before, after).filter((key) => refused.has(key.slice(key.lastIndexOf("/") + 1)));
  if (touched.length > 0) throw new Error(`Refused, and yet changed: ${touched.join(", ")}`);
  await checkList(cluster, model);
}

/** The status that the item must get; the model does what the item asks for. */
function expect(model: Model, { body, badStatus }: Item): number {
  if (badStatus !== null) return badStatus;
  const name = String(body.name);
  const known = model.get(name);
  if (body.delete === true) return model.delete(name) ? 204 : 404;
  const desiredState = body.desiredState as string | undefined;
  if (body.options === undefined) {
    if (known === undefined || desiredState === undefined) return 409;
    model.set(name, { ...known, desiredState });
    return 204;
  }
  const hash = unitHash(body.options as readonly UnitOption[]);
  if (known?.hash === hash && desiredState === undefined) return 409;
  model.set(name, { hash, desiredState: desiredState ?? "inactive" });
  return known?.hash === hash ? 204 : 201;
}

function modelOf(snapshot: Snapshot): Model {
  const model: Model = new Map();
  for (const [key, { value }] of snapshot) {
    if (!key.startsWith("job/")) continue;
    const { hash, desiredState } = JSON.parse(value) as Unit;
    model.set(key.slice("job/".length), { hash, desiredState });
  }
  return model;
}

function checkAgainst(model: Model, snapshot: Snapshot): void {
  checkFiles(snapshot);
  const [wanted, there] = [model, modelOf(snapshot)].map((units) => JSON.stringify([...units].sort()));
  if (wanted !== there) throw new Error(`The cluster should have ${wanted}, and has ${there}`);
}

/** A client that reads after its write sees just that. */
async function checkList(cluster: ClusterUnderFire, model: Model): Promise<void> {
  const shown: string[] = [];
  for (let token: string | undefined = ""; token !== undefined; ) {
    const response = await cluster.api(new Request(`http://flt/fleet/v1/units?nextPageToken=${token}`));
    const page = (await response.json()) as {
      units?: { name: string; desiredState: string }[];
      nextPageToken?: string;
    };
    shown.push(...(page.units ?? []).map(({ name, desiredState }) => `${name} ${desiredState}`));
    token = page.nextPageToken;
  }
  const wanted = [...model].map(([name, { desiredState }]) => `${name} ${desiredState}`).sort();
  if (shown.sort().join() !== wanted.join())
    throw new Error(`The API should list ${wanted.join()}, and lists ${shown.join()}`);
}

/** What makes a whole batch unreadable; nothing of it may be done, however good the rest is. */
export const brokenBatch = fc
  .tuple(
    items(1, 5),
    fc.constantFrom("twice", "nameless", "null", "list", "no list", "text after", "cut short", "not UTF-8"),
  )
  .map(([batch, fault]) => ({ batch: batch.map(({ body }) => body), fault }));

export async function checkBrokenBatch({
  batch,
  fault,
}: {
  readonly batch: readonly Item["body"][];
  readonly fault: string;
}): Promise<void> {
  const [first] = batch;
  const units: Readonly<Record<string, unknown>> = {
    twice: [...batch, first],
    nameless: [...batch, { desiredState: "launched" }],
    null: [...batch, null],
    list: [...batch, []],
    "no list": { ...batch },
  };
  const text = JSON.stringify({ units: Object.hasOwn(units, fault) ? units[fault] : batch });
  const bytes = new TextEncoder().encode(text);
  const broken =
    fault === "cut short"
      ? bytes.subarray(0, -1)
      : fault === "text after"
        ? new TextEncoder().encode(`${text} {}`)
        : fault === "not UTF-8"
          ? new Uint8Array([...bytes, 0xff])
          : bytes;
  await ClusterUnderFire.with(async (cluster) => {
    const before = await cluster.snapshot();
    const response = await post(cluster, broken);
    cluster.checkFaults();
    if (response.status !== 400) throw new Error(`Status ${response.status}: ${await response.text()}`);
    mustBeUnchanged(before, await cluster.snapshot(), "Refused with 400");
  });
}

function post(cluster: ClusterUnderFire, body: object | Uint8Array<ArrayBuffer>): Promise<Response> {
  return cluster.api(
    new Request("http://flt/flt/v1/units:batch", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: body instanceof Uint8Array ? body : JSON.stringify(body),
    }),
  );
}
