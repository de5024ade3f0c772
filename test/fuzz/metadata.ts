/**
 * PATCH /machines against a model: what is granted is done, key by key and in order, and shown; what is refused is not done at all.
 *
 * Idea. Operations are made of parts that are right or wrong by themselves, so that the model needs no reader of pointers: it knows
 * the key that each path was made from (RFC 6901: "~" is written "~0", "/" is "~1").
 *
 * @module
 */
import fc from "fast-check";
import { machineId } from "../fakes/registry-world.ts";
import { ClusterUnderFire, mustBeUnchanged } from "./cluster.ts";

interface Edit {
  readonly body: Readonly<Record<string, unknown>>;
  /** null: it must be refused, and the whole patch with it. */
  readonly meant: { readonly machine: number; readonly key: string; readonly value: string | null } | null;
}

const goodKey = fc.constantFrom(
  "disk",
  "a/b",
  "~",
  "~1",
  "~0/",
  "__proto__",
  "constructor",
  "..",
  "ü",
  "a b",
  "job",
  "%2F",
);
const badKey = fc.constantFrom("", " a", "a=b", "a,b", 'a"', "a\n", "\0");
const goodValue = fc.constantFrom("ssd", "=", ",", "~1", "__proto__", "ü", "a b", " ");
const badValue = fc.constantFrom<unknown>("", "a\nb", "\0", 5, null, [], { value: "" }, { value: 1 }, {});
const machine = fc.constantFrom(1, 2);
const writing = fc.constantFrom("add", "replace");

function pathOf(number: number, key: string): string {
  return `/${machineId(number)}/metadata/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`;
}

const goodEdit: fc.Arbitrary<Edit> = fc
  .tuple(machine, goodKey, fc.option(goodValue, { freq: 3 }), writing, fc.boolean())
  .map(([number, key, value, op, isWrapped]) => {
    const path = pathOf(number, key);
    const body = value === null ? { op: "remove", path } : { op, path, value: isWrapped ? { value } : value };
    return { body, meant: { machine: number, key, value } };
  });
const badEdit: fc.Arbitrary<Edit> = fc
  .oneof(
    fc
      .tuple(machine, badKey, goodValue, writing)
      .map(([number, key, value, op]) => ({ op, path: pathOf(number, key), value })),
    fc
      .tuple(machine, goodKey, badValue, writing)
      .map(([number, key, value, op]) => ({ op, path: pathOf(number, key), value })),
    fc
      .tuple(machine, goodKey, fc.constantFrom("move", "copy", "test", "", "Add", 5))
      .map(([number, key, op]) => ({ op, path: pathOf(number, key), value: "x" })),
    fc
      .constantFrom(
        "/metadata/a",
        "",
        "/",
        `/${machineId(1)}/metadata/a/b`,
        `/${machineId(1)}/state/a`,
        "/1/metadata/a",
        `${machineId(1)}/metadata/a`,
      )
      .map((path) => ({ op: "add", path, value: "x" })),
  )
  .map((body) => ({ body, meant: null }));

export const metadataPatches = fc.array(
  fc.array(fc.oneof({ weight: 6, arbitrary: goodEdit }, { weight: 1, arbitrary: badEdit }), { maxLength: 5 }),
  { minLength: 1, maxLength: 3 },
);

export async function checkPatches(patches: readonly (readonly Edit[])[]): Promise<void> {
  await ClusterUnderFire.with(async (cluster) => {
    const shown = new Map([["disk", "ssd"]]);
    for (const patch of patches) {
      const before = await cluster.snapshot();
      const body = JSON.stringify(patch.map((edit) => edit.body));
      const response = await cluster.api(new Request("http://flt/fleet/v1/machines", { method: "PATCH", body }));
      cluster.checkFaults();
      const isGood = patch.every(({ meant }) => meant !== null);
      const text = await response.text();
      if (response.status !== (isGood ? 204 : 400)) throw new Error(`Status ${response.status}: ${text}`);
      if (!isGood) mustBeUnchanged(before, await cluster.snapshot(), "Refused with 400");
      else for (const { meant } of patch) apply(shown, meant);
      await checkShown(cluster, shown);
    }
  });
}

/** Only machine 1 is registered, and shown. */
function apply(shown: Map<string, string>, meant: Edit["meant"]): void {
  if (meant === null || meant.machine !== 1) return;
  if (meant.value === null) shown.delete(meant.key);
  else shown.set(meant.key, meant.value);
}

async function checkShown(cluster: ClusterUnderFire, shown: ReadonlyMap<string, string>): Promise<void> {
  const response = await cluster.api(new Request("http://flt/fleet/v1/machines"));
  const { machines } = (await response.json()) as { machines: { id: string; metadata?: Record<string, string> }[] };
  const sorted = (pairs: Iterable<readonly [string, string]>) => JSON.stringify([...pairs].sort());
  const [wanted, got] = [sorted(shown), sorted(Object.entries(machines[0]?.metadata ?? {}))];
  if (machines.length !== 1 || wanted !== got) throw new Error(`Machine 1 should show ${wanted}, and shows ${got}`);
}
