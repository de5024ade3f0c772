/**
 * Span index: who is interested in this key?
 *
 * Idea. Single keys are found by hash. Spans cut the key space into segments; each segment knows the groups that cover
 * it, and a group is everyone with exactly the same span. So looking a key up costs one step in an ordered map however
 * many watch elsewhere, and a thousand watchers of one prefix are one group.
 *
 * Example. [a,m) by X, [g,z) by Y:   a..g {X}   g..m {X,Y}   m..z {Y}   z.. {}
 *
 * Invariants.
 * - Segments cover all keys: there is always one that begins at "".
 * - A boundary exists exactly as long as some group begins or ends there.
 *
 * Cost. Adding or removing a span is linear in the segments it covers: rare and wide, or frequent and narrow.
 *
 * @module
 */
import { BTree } from "../lib/ordered-map.ts";
import { compareKeys, type Key, type KeySpan } from "./key.ts";

interface Group<T> {
  readonly span: KeySpan;
  readonly members: Set<T>;
}
interface Segment<T> {
  readonly groups: Set<Group<T>>;
  /** How many groups begin or end at its lower bound. */
  edges: number;
}

export class SpanIndex<T> {
  readonly #singles = new Map<Key, Set<T>>();
  readonly #groups = new Map<string, Group<T>>();
  readonly #segments = new BTree<Key, Segment<T>>([["", { groups: new Set(), edges: 1 }]], compareKeys);

  add(span: KeySpan, member: T): void {
    if (span.single) {
      const members = this.#singles.get(span.from);
      if (members === undefined) this.#singles.set(span.from, new Set([member]));
      else members.add(member);
      return;
    }
    if (span.to !== undefined && span.to <= span.from) return;
    const known = this.#groups.get(nameOf(span));
    if (known !== undefined) {
      known.members.add(member);
      return;
    }
    const group: Group<T> = { span, members: new Set([member]) };
    this.#groups.set(nameOf(span), group);
    this.#cut(span.from);
    if (span.to !== undefined) this.#cut(span.to);
    this.#eachSegment(span, (segment) => segment.groups.add(group));
  }

  remove(span: KeySpan, member: T): void {
    if (span.single) {
      const members = this.#singles.get(span.from);
      members?.delete(member);
      if (members?.size === 0) this.#singles.delete(span.from);
      return;
    }
    const group = this.#groups.get(nameOf(span));
    if (group === undefined) return;
    group.members.delete(member);
    if (group.members.size > 0) return;
    this.#groups.delete(nameOf(span));
    this.#eachSegment(span, (segment) => segment.groups.delete(group));
    this.#join(span.from);
    if (span.to !== undefined) this.#join(span.to);
  }

  /** Members are visited once each per interest of theirs. */
  visit(key: Key, visit: (member: T) => void): void {
    for (const member of this.#singles.get(key) ?? []) visit(member);
    const segment = this.#segments.getPairOrNextLower(key)?.[1];
    if (segment === undefined) return;
    for (const group of segment.groups) {
      for (const member of group.members) visit(member);
    }
  }

  /** For tests: every group gone, one segment is left. */
  get segmentCount(): number {
    return this.#segments.size;
  }

  #cut(at: Key): void {
    const [lower, segment] = this.#segments.getPairOrNextLower(at) as [Key, Segment<T>];
    if (lower === at) segment.edges++;
    else this.#segments.set(at, { groups: new Set(segment.groups), edges: 1 });
  }

  #join(at: Key): void {
    const segment = this.#segments.get(at);
    if (segment === undefined) return;
    segment.edges--;
    // No group begins or ends here any more: the segment before it has the same groups.
    if (segment.edges === 0) this.#segments.delete(at);
  }

  #eachSegment(span: KeySpan, visit: (segment: Segment<T>) => void): void {
    for (const [lower, segment] of this.#segments.entries(span.from)) {
      if (span.to !== undefined && lower >= span.to) return;
      visit(segment);
    }
  }
}

/** Spans are equal when their names are: the length keeps bounds from running into each other. */
function nameOf(span: KeySpan): string {
  return `${span.from.length}:${span.from}${span.to === undefined ? "" : `:${span.to}`}`;
}
