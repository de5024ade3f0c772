/**
 * Bugs of the store and of its replicas: histories, leases, watches, transactions, and members that part.
 *
 * @module
 */
import type { Bug } from "./bug.ts";

const STORE: readonly Bug[] = [
  {
    name: "a snapshot goes on changing while it is written",
    file: "src/store/store.ts",
    find: "history: this.#history.pin(),",
    replace: "history: this.#history,",
    seeds: 200,
  },
  {
    name: "lease ids begin anew after a snapshot",
    file: "src/store/snapshot.ts",
    find: "this.#leases = new LeaseTable(reader.varint());",
    replace: "this.#leases = new LeaseTable(reader.varint() * 0);",
    seeds: 50,
  },
  {
    name: "a restored store forgets which keys hang on a lease",
    file: "src/store/snapshot.ts",
    find: "this.#leases.move(change.key, this.#index.latest(change.key)?.lease ?? 0, change.lease);",
    replace: "",
    seeds: 100,
  },
  {
    name: "the end of a lease leaves its keys",
    file: "src/store/store.ts",
    find: "const changes = deleteKeys(this.#leases.keys(id), this);",
    replace: "const changes = deleteKeys(this.#leases.keys(id).slice(1), this);",
    seeds: 20,
  },
  {
    name: "a watch does not hear of a restored state",
    file: "src/store/store.ts",
    find: "this.#hub.reset();",
    replace: "",
    seeds: 500,
  },
  {
    name: "a watch loses an event at compaction",
    file: "src/store/store-watch.ts",
    find: '        this.#end(compactedError("Watch", this.behindFrom, this.#feed.compactRevision));\n        return;',
    replace: "        this.behindFrom = this.#feed.compactRevision;",
    seeds: 500,
  },
  {
    name: "a watch that begins at the present misses it",
    file: "src/store/watch-hub.ts",
    find: "if (watch.startRevision <= this.#published) watch.behindFrom",
    replace: "if (watch.startRevision < this.#published) watch.behindFrom",
    seeds: 100,
  },
  {
    name: "a compare in a transaction is passed over",
    file: "src/store/txn.ts",
    find: "const path = choosePath(request, tables);",
    replace: "const path = choosePath({ ...request, compare: [] }, tables);",
    seeds: 20,
  },
];

const REPLICA: readonly Bug[] = [
  {
    name: "leases end when the leader changes",
    file: "src/replica/lease-clock.ts",
    find: "for (const lease of this.#ports.store.leases.all()) this.#renew(lease);",
    replace: "for (const lease of this.#ports.store.leases.all()) this.#dueIn(lease.id, 0);",
    seeds: 20,
  },
  {
    name: "leases end in a burst after a pause",
    file: "src/replica/lease-clock.ts",
    find: "if (!this.#active || this.#beat === null || sinceBeatMs <= BEAT_MS + this.#config.stallMs) return false;",
    replace: "if (sinceBeatMs > Number.NEGATIVE_INFINITY) return false;",
    seeds: 200,
  },
  {
    name: "a write is sent again although its fate is unknown",
    file: "src/replica/leader-route.ts",
    find: "if (isUndone || repeatable) return",
    replace: "if (isUndone || repeatable || reason !== null) return",
    seeds: 100,
  },
  {
    name: "an unknown fate is told as nothing done",
    file: "src/replica/leader-service.ts",
    find: 'return { kind: "failed", code: "unknown-fate", message };',
    replace: 'return { kind: "failed", code: "unavailable", message };',
    seeds: 200,
  },
];

/** Each is done by one member and not by the others, once in so many commands. */
const DIVERGENCE: readonly Bug[] = [
  {
    name: "one member passes over a command",
    file: "src/store/store.ts",
    find: "        const { response, changes } = runTxn(command.request, this);\n        this.#commit(changes);",
    replace:
      "        const { response, changes } = runTxn(command.request, this);\n" +
      `        const world = globalThis as { applied?: number };\n` +
      "        world.applied = (world.applied ?? 0) + 1;\n" +
      "        if (world.applied % 400 !== 0) this.#commit(changes);",
    simulation: "blind",
    seeds: 10,
  },
  {
    name: "one member keeps another value than it was given",
    file: "src/store/txn.ts",
    find: "put.ignoreValue && before !== undefined ? before.value : put.value.slice();",
    replace:
      "(((globalThis as { puts?: number }).puts = ((globalThis as { puts?: number }).puts ?? 0) + 1) % 1000 === 0) ? " +
      "put.value.slice(1) : put.ignoreValue && before !== undefined ? before.value : put.value.slice();",
    simulation: "blind",
    seeds: 10,
  },
  {
    name: "one member's memory loses a bit",
    file: "src/store/store.ts",
    find: "    for (const change of changes) {\n      this.#tally.add(change);",
    replace:
      "    for (const change of changes) {\n      this.#tally.add(change);\n" +
      "      const world = globalThis as { kept?: number };\n      world.kept = (world.kept ?? 0) + 1;\n" +
      "      if (world.kept % 400 === 0 && change.value) change.value.fill(255, 0, 1);",
    simulation: "blind",
    seeds: 10,
  },
  {
    name: "a restored member forgets what hangs on a lease",
    file: "src/store/snapshot.ts",
    find: "version: reader.varint(), lease: reader.varint() };",
    replace: "version: reader.varint(), lease: Math.min(0, reader.varint()) };",
    simulation: "blind",
    seeds: 40,
  },
];

export const STORE_BUGS: readonly Bug[] = [...STORE, ...REPLICA, ...DIVERGENCE];
