/**
 * A life of a log, from a seed: appends, votes, conflicts, snapshots taken and received, compaction. Run by power-loss.ts under strace.
 *
 * Usage: script.ts DIRECTORY SEED STEPS
 *
 * @module
 */
import { join } from "node:path";
import type { Entry, HardState, SnapshotWriter } from "#raft";
import { SeededRandom } from "../sim/random.ts";
import { openSqliteLog } from "./inject/log-storage.ts";

const [directory = "", seed, steps] = process.argv.slice(2);
const random = new SeededRandom(Number(seed));
const storage = await openSqliteLog({ path: join(directory, "raft.db"), clusterId: "c", nodeId: 1 });
const membership = { voters: [1, 2, 3], learners: [] };
const loaded = await storage.load();
let hardState: HardState = loaded.hardState;
let last = loaded.entries.at(-1)?.index ?? loaded.snapshot?.index ?? 0;
let snapshot = loaded.snapshot?.index ?? 0;

const entry = (index: number): Entry => ({
  index,
  term: hardState.term,
  kind: "normal",
  data: new Uint8Array(random.int(1, 6000)).fill(index % 251),
});

async function append(from: number): Promise<void> {
  const entries = Array.from({ length: random.int(1, 4) }, (_, i) => entry(from + i));
  await storage.append({ hardState, entries, mustSync: true });
  last = from + entries.length - 1;
}

async function writer(index: number): Promise<SnapshotWriter> {
  const made = await storage.createSnapshot({ index, term: hardState.term, membership });
  for (let chunks = random.int(1, 4); chunks > 0; chunks--) await made.write(new Uint8Array(random.int(1, 90_000)));
  return made;
}

async function newTerm(): Promise<void> {
  hardState = { term: hardState.term + 1, vote: random.int(0, 3), commit: Math.max(snapshot, hardState.commit) };
  await storage.append({ hardState, entries: [], mustSync: true });
}

await newTerm();
for (let step = 0; step < Number(steps); step++) {
  const chance = random.next();
  if (chance < 0.75) await append(last + 1);
  else if (chance < 0.82) await newTerm();
  else if (chance < 0.87 && last > snapshot) {
    await newTerm();
    await append(random.int(snapshot + 1, last));
  } else if (chance < 0.95 && last > snapshot) {
    snapshot = random.int(snapshot + 1, last);
    await (await writer(snapshot)).finish();
    await storage.compact(snapshot);
  } else {
    const received = await writer(last + random.int(1, 50));
    await received.seal();
    hardState = { ...hardState, commit: received.meta.index };
    await storage.installSnapshot(received, hardState);
    snapshot = received.meta.index;
    last = snapshot;
  }
}
await storage.close();
