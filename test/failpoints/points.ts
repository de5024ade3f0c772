/**
 * The points at which a member is hit, in the order of a log's life, and how each is reached.
 *
 * @module
 */
import type { Action } from "./inject/failpoint.ts";
import {
  behind,
  behindAgain,
  conflict,
  damaged,
  election,
  founding,
  full,
  load,
  membership,
  orphan,
  refusal,
  restart,
  type Scenario,
  sending,
  stop,
} from "./scenarios.ts";
import { tracedLoad, tracedStop, tracedSurvival } from "./traced.ts";
import { HAVE_STRACE } from "./tracer.ts";

export interface Point {
  readonly name: string;
  /** What leads there, in a word, for the table. */
  readonly when: string;
  readonly scenario: Scenario;
  readonly action: Action;
  /** It acts at a pass between 1 and this. */
  readonly passes: number;
  /** Its rounds begin with members that never ran. */
  readonly isNew: boolean;
  /** No process may end there. */
  readonly isSurvived: boolean;
  /** What it had was damaged before: its disk has less than it promised. */
  readonly isDamaged: boolean;
  /** One of those that each test run goes through, a few times. */
  readonly isShort: boolean;
}

const SURVIVED: ReadonlySet<Scenario> = new Set([refusal, behindAgain]);

/**
 * A line a scenario: its points, separated by blanks (`sync:log` is the call "sync" on the file "log"); `name*k` is passed up to k times before it acts, `+name` is one of the short
 * run, too.
 */
function group(when: string, scenario: Scenario, names: string, action: Action = "kill"): readonly Point[] {
  return names.split(/\s+/).map((word) => {
    const [name = "", passes = "1"] = word.replace("+", "").replace(":", " ").split("*");
    const isNew = scenario === founding;
    const isSurvived = SURVIVED.has(scenario);
    const isDamaged = scenario === damaged;
    const isShort = word.startsWith("+");
    return { name, when, scenario, action, passes: Number(passes), isNew, isSurvived, isDamaged, isShort };
  });
}

const SNAPSHOT_FILE =
  "snapshot.create snapshot.created slice.write*4 +slice.torn*4 slice.written*4 snapshot.piece-sync snapshot.sync snapshot.synced " +
  "directory.sync directory.synced";
const COMMITS = "+entries.commit*50 entries.committed*50";

const SYSTEM_CALLS: readonly Point[] = [
  ...group("system call", tracedLoad, "+write:log*200 +sync:log*50 truncate:log write:database*20 sync:database"),
  ...group("system call", tracedLoad, "open:snapshot write:snapshot*3 sync:snapshot sync:directory +unlink:snapshot"),
  ...group("system call at the end", tracedStop, "+write:database*5 truncate:database sync:database unlink:log"),
  ...group("system call", tracedLoad, "+write:log*200 +sync:log*50 write:snapshot*3 sync:snapshot", "EIO"),
  ...group("system call", tracedLoad, "open:snapshot sync:directory unlink:snapshot", "EIO"),
  ...group("system call, survived", tracedSurvival, "truncate:log write:database*20 +sync:database", "EIO"),
  ...group("system call, survived", tracedSurvival, "+write:log truncate:log write:database", "ENOSPC"),
  ...group("system call, survived", tracedSurvival, "open:snapshot +write:snapshot sync:snapshot", "ENOSPC"),
  ...group("system call at the end", tracedStop, "write:database*5 sync:database truncate:database", "EIO"),
];

export const POINTS: readonly Point[] = [
  ...group("first start", founding, "port.open wal-mode schema meta*3 +founding.commit founding.committed"),
  ...group("first start", founding, "reserve.create reserve.created reserve.write +reserve.torn reserve.found-sync"),
  ...group(
    "first start",
    founding,
    "reserve.found-synced reserve.directory-sync reserve.directory-synced port.open-done port.load",
  ),
  ...group("first start", founding, "port.load-done hard-state.commit"),
  ...group("start", restart, "port.open wal-mode begin nothing.commit port.open-done port.load +port.load-done"),
  ...group("start", restart, "port.read-snapshot port.read-snapshot-done"),
  ...group("start after a torn snapshot", orphan, "+prune pruned"),
  ...group("entries", load, `port.append*50 begin*50 entry*100 state*50 ${COMMITS} port.append-done*50`),
  ...group("entries", load, "+note.write*50 +note.torn*50 note.written*50"),
  ...group("another leader's entries", conflict, "truncate +truncation.commit truncation.committed"),
  ...group("election", election, "port.append-state +hard-state.commit hard-state.committed port.append-state-done"),
  ...group("membership", membership, "+membership.commit membership.committed"),
  ...group("full disk", full, "reserve.write*2 +reserve.torn*2 reserve.sync*2 reserve.synced*2"),
  ...group("snapshot taken", load, `port.create-snapshot ${SNAPSHOT_FILE} name +snapshot.commit +snapshot.committed`),
  ...group("snapshot taken", load, "port.finish-snapshot-done prune pruned"),
  ...group("compaction", load, "port.compact compact*3 +compaction.commit*3 compaction.committed*3 port.compact-done"),
  ...group("snapshot received", behind, `port.create-snapshot ${SNAPSHOT_FILE} port.install name drop-log`),
  ...group("snapshot received", behind, "+install.commit +install.committed prune pruned port.install-done"),
  ...group("snapshot sent", sending, "port.read-snapshot port.read-snapshot-done"),
  ...group("damage", damaged, "port.recover +schema founding.commit entry*3 state +entries.commit"),
  ...group("damage", damaged, "entries.committed name snapshot.commit +rename*4 +renamed*4 port.recover-done"),
  ...group("stop", stop, "port.close port.close-done"),
  ...group("failing disk", load, `begin*50 entry*50 state*50 ${COMMITS} name`, "EIO"),
  ...group("failing disk", load, "slice.write snapshot.sync directory.sync snapshot.commit +snapshot.committed", "EIO"),
  ...group("failing disk", load, "compaction.commit compaction.committed note.write*50", "EIO"),
  ...group("failing disk", election, "hard-state.commit hard-state.committed", "EIO"),
  ...group(
    "failing disk, snapshot received",
    behind,
    "slice.write snapshot.sync install.commit +install.committed",
    "EIO",
  ),
  ...group("no room", refusal, "begin entry +entries.commit snapshot.create slice.write snapshot.sync", "ENOSPC"),
  ...group("no room", refusal, "directory.sync snapshot.commit compaction.commit", "ENOSPC"),
  ...group("no room, snapshot received", behindAgain, "snapshot.create slice.write snapshot.sync", "ENOSPC"),
  ...group("no room, snapshot received", behindAgain, "directory.sync +install.commit", "ENOSPC"),
  ...(HAVE_STRACE ? SYSTEM_CALLS : []),
];
