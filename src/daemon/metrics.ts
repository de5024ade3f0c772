/**
 * The daemon's own numbers: what raft, the store and the registry hold anyway, read when somebody asks.
 *
 * Not here. What rooms count themselves (registry/measured-kv.ts, engine/metrics.ts), the process (platform/metrics.ts).
 *
 * @module
 */
import type { RaftNode } from "#raft";
import type { Gauge, Metrics } from "../lib/metrics.ts";
import { VERSION } from "../lib/version.ts";
import { systemClock } from "../platform/clock.ts";
import { measureProcess } from "../platform/metrics.ts";
import type { RegistryView } from "../registry/index.ts";
import type { ReplicaKv, StoreMachine } from "../replica/index.ts";

/** Has the process and its view of the registry tell how they are. */
export function measureDaemon(metrics: Metrics, view: RegistryView, voters: readonly string[]): void {
  measureProcess(metrics, VERSION);
  metrics.read(
    { name: "flt_cluster_format_level", help: "Newest format that every machine of the cluster reads." },
    "gauge",
    () => view.clusterLevel(voters).level,
  );
  metrics.read(
    { name: "flt_registry_view_revision", help: "Revision up to which this daemon's view of the registry has come." },
    "gauge",
    () => view.revision,
  );
  metrics.read({ name: "flt_registry_machines", help: "Machines that are registered." }, "gauge", () =>
    count(view.machines()),
  );
  metrics.read(
    { name: "flt_registry_records", help: "Records in the registry by kind of key.", labels: ["kind"] },
    "gauge",
    () => Object.entries(view.recordCounts).map(([kind, records]) => [{ kind }, records] as const),
  );
  metrics.read(
    { name: "flt_registry_units", help: "Units by desired state.", labels: ["desired_state"] },
    "gauge",
    () => {
      const byState = new Map<string, number>();
      for (const { desiredState } of view.jobs()) byState.set(desiredState, (byState.get(desiredState) ?? 0) + 1);
      return [...byState].map(([state, units]) => [{ desired_state: state }, units] as const);
    },
  );
  metrics.read(
    { name: "flt_registry_orphan_unit_files", help: "Unit files that no unit names; the engine collects them." },
    "gauge",
    () => count(view.orphanFiles()),
  );
}

/** The same for a member of the replicated store. */
export function measureReplica(
  metrics: Metrics,
  member: { readonly raft: RaftNode; readonly machine: StoreMachine; readonly kv: ReplicaKv },
  members: ReadonlyMap<number, string>,
): void {
  const { raft, machine, kv } = member;
  const { store } = machine;
  measureHealth(metrics, kv, members);
  metrics.read({ name: "flt_store_revision", help: "Revision of this member's store." }, "gauge", () => store.revision);
  metrics.read(
    { name: "flt_store_compact_revision", help: "Oldest revision that can still be read." },
    "gauge",
    () => store.compactRevision,
  );
  metrics.read({ name: "flt_store_watches", help: "Watches on this member's store." }, "gauge", () => store.watchCount);
  const read = (name: string, help: string, value: () => number): void =>
    metrics.read({ name: `flt_raft_${name}`, help }, "gauge", value);
  read("is_leader", "1 while this member leads.", () => (raft.role === "leader" ? 1 : 0));
  read("has_leader", "1 while this member knows a leader.", () => (raft.leader === 0 ? 0 : 1));
  read("term", "Raft's term.", () => raft.status().term);
  read("commit_index", "Highest log index known to be committed.", () => raft.status().commit);
  read("applied_index", "Highest log index that the store has taken in.", () => raft.status().applied);
  read("last_index", "Highest log index that this member holds.", () => raft.status().lastIndex);
  read("first_index", "Lowest log index that this member holds; a snapshot stands for those before.", () => {
    return raft.status().firstIndex;
  });
  read("tick_age_seconds", "Time since raft's clock last turned; above 0.1 the event loop is behind.", () => {
    return (systemClock.now() - raft.turning.lastTickAt) / 1000;
  });
  read("pending_proposals", "Proposals of this member whose fate is open.", () => raft.status().pendingProposals);
  read("disk_full", "1 while the log's disk refuses to take more.", () => (raft.status().diskFull ? 1 : 0));
  read("recovering", "1 while this member, whose disk was damaged, does not have everything again.", () => {
    return raft.status().recovering ? 1 : 0;
  });
}

/** Whether the members hold the same, as far as this one knows. */
function measureHealth(metrics: Metrics, kv: ReplicaKv, members: ReadonlyMap<number, string>): void {
  const { check, trust, scrubber } = kv.health;
  metrics.read(
    {
      name: "flt_store_divergent",
      help: "1 for a member whose data differs from the majority's, or may: any 1 is an alarm.",
      labels: ["member"],
    },
    "gauge",
    () => {
      const { suspects } = check.verdict;
      return [...members].map(([id, address]) => [{ member: address }, suspects.includes(id) ? 1 : 0] as const);
    },
  );
  metrics.read(
    { name: "flt_store_trusted", help: "0 while this member's data is wrong and not served." },
    "gauge",
    () => (trust.reason === null ? 1 : 0),
  );
  metrics.read(
    {
      name: "flt_store_hash_checks_total",
      help: "Comparisons of the members' data by outcome: equal, divergent, undecided, unanswered.",
      labels: ["outcome"],
    },
    "total",
    () => [...check.outcomes].map(([outcome, count]) => [{ outcome }, count] as const),
  );
  metrics.read(
    { name: "flt_store_scrubs_total", help: "How often all of this member's data was compared with what it applied." },
    "total",
    () => scrubber.passes,
  );
  metrics.read(
    {
      name: "flt_store_rebuilds_total",
      help: "How often this member's data was wrong and came anew from another one.",
    },
    "total",
    () => trust.rebuilds,
  );
}

/** fleet's: when this daemon's engine took over, in seconds since the epoch; 0 while it does not lead. */
export function leaderStartTime(metrics: Metrics): Gauge {
  return metrics.gauge({
    name: "fleet_engine_leader_start_time",
    help: "Start time of becoming an engine leader since epoch in seconds; 0 while another one leads.",
  });
}

function count(items: Iterable<unknown>): number {
  let total = 0;
  for (const _ of items) total += 1;
  return total;
}
