/**
 * Evaluates a range over the key index, with etcd's rules for limit, order, filters and count.
 *
 * - `count` is the number of keys in the range, whatever filters and limit leave of them. Uncounted, the scan ends with the first key that
 *   the limit leaves out, and `count` with it.
 * - Filters and order come before the limit; without them the scan copies no more than it returns.
 * - A target other than the key, named without an order, sorts ascending.
 *
 * @module
 */
import { type Change, toKeyValue, type Version } from "./change.ts";
import { compareKeys, toSpan } from "./key.ts";
import type { KeyIndex } from "./key-index.ts";
import { KvError, type RangeRequest, type RangeResponse, type Revision, type SortTarget } from "./kv.ts";

/** What may be read: [compactRevision, revision]. */
export interface Readable {
  readonly index: KeyIndex;
  readonly revision: Revision;
  readonly compactRevision: Revision;
}

export function checkRevision(wanted: Revision, { revision, compactRevision }: Readable): void {
  if (wanted > revision) {
    throw new KvError(
      "future-revision",
      `Range failed: revision ${wanted} is in the future, the store is at ${revision}`,
    );
  }
  if (wanted < compactRevision) throw compactedError("Range", wanted, compactRevision);
}

export function compactedError(action: string, wanted: Revision, compactRevision: Revision): KvError {
  const message = `${action} failed: revision ${wanted} was compacted away, ${compactRevision} is the oldest one left`;
  return new KvError("compacted", message, compactRevision);
}

export function evaluateRange(request: RangeRequest, readable: Readable, uncounted = false): RangeResponse {
  const { index, revision } = readable;
  const at = request.revision ?? 0;
  if (at > 0) checkRevision(at, readable);
  const scan = index.scan(toSpan(request), at > 0 ? at : revision);
  const limit = request.limit ?? 0;
  const filter = filterOf(request);
  const sorted = request.sort !== undefined && !(request.sort.target === "key" && !request.sort.descending);
  const keepMax = limit > 0 && !sorted ? limit : Number.POSITIVE_INFINITY;
  let found: Version[] = [];
  let count = 0;
  let more = false;
  for (const version of scan) {
    count++;
    if (request.countOnly || !filter(version)) continue;
    if (found.length < keepMax) {
      found.push(version);
      continue;
    }
    more = true;
    if (uncounted) break;
  }
  if (sorted && request.sort) found.sort(orderBy(request.sort.target, request.sort.descending ?? false));
  if (limit > 0 && found.length > limit) {
    found = found.slice(0, limit);
    more = true;
  }
  const kvs = found.map((version) => toKeyValue(version, request.keysOnly));
  return { revision, kvs, more, count };
}

function filterOf(request: RangeRequest): (change: Change) => boolean {
  const modMin = request.minModRevision ?? 0;
  const createMin = request.minCreateRevision ?? 0;
  // etcd's zero means "no bound", for the upper ones, too.
  const modMax = request.maxModRevision || Number.POSITIVE_INFINITY;
  const createMax = request.maxCreateRevision || Number.POSITIVE_INFINITY;
  return (change) =>
    change.revision >= modMin &&
    change.revision <= modMax &&
    change.createRevision >= createMin &&
    change.createRevision <= createMax;
}

function orderBy(target: SortTarget, descending: boolean): (a: Version, b: Version) => number {
  const ascending = ASCENDING[target];
  return descending ? (a, b) => ascending(b, a) : ascending;
}

const ASCENDING: Readonly<Record<SortTarget, (a: Version, b: Version) => number>> = {
  key: (a, b) => compareKeys(a.key, b.key),
  version: (a, b) => a.version - b.version,
  create: (a, b) => a.createRevision - b.createRevision,
  mod: (a, b) => a.revision - b.revision,
  value: (a, b) => Buffer.compare(a.value, b.value),
};
