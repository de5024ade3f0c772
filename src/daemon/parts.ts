/**
 * What a daemon needs opened before it is put together: its place, its data directory, systemd, its store.
 *
 * Idea. Everything that can keep a daemon from running here fails in this file, with one line for the operator, and leaves
 * nothing open.
 *
 * @module
 */
import { connectSystemd, type SystemdScope } from "../agent/systemd/index.ts";
import type { FltConfig } from "../config/table.ts";
import type { Log } from "../lib/log.ts";
import { systemClock } from "../platform/clock.ts";
import { type DataIdentity, ETCD_CLUSTER, type NamedCluster, openDataDir } from "../platform/data-dir.ts";
import { type FolderLock, lockFolder } from "../platform/folder-lock.ts";
import { defaultAddress } from "../platform/host-facts.ts";
import { monotonicMicroseconds } from "../platform/libc.ts";
import { openEtcdStore } from "./etcd-store.ts";
import { findPlace, type Place } from "./place.ts";
import { StartError, whileStarting } from "./start-error.ts";
import type { DaemonStore } from "./store.ts";
import { StoreMember } from "./store-member.ts";
import { adviceOnSystemd } from "./systemd-advice.ts";

export interface PartsOptions {
  readonly config: FltConfig;
  /** Whose systemd runs the units. */
  readonly scope: SystemdScope;
  readonly log: Log;
  readonly onFatal: (error: Error) => void;
}

export interface Parts {
  readonly place: Place;
  readonly data: DataIdentity;
  readonly units: Awaited<ReturnType<typeof connectSystemd>>;
  /** Of the units directory: two agents that hold the units of one folder would take each other's away. */
  readonly lock: FolderLock;
  readonly store: DaemonStore;
}

export async function openParts(options: PartsOptions): Promise<Parts> {
  const { config, log, scope } = options;
  const place = findPlace(config, defaultAddress);
  const data = await openDataDir(config.dataDir, clusterOf(config, place));
  const units = await whileStarting(
    "Preparing to run units",
    (error) => adviceOnSystemd(error, config.unitsDirectory, scope),
    () =>
      connectSystemd({
        unitsDirectory: config.unitsDirectory,
        clock: systemClock,
        monotonicUs: monotonicMicroseconds,
        log,
        scope,
      }),
  );
  let lock: FolderLock | null = null;
  try {
    lock = lockUnits(config.unitsDirectory);
    return { place, data, units, lock, store: await openStore(options, place, data) };
  } catch (error) {
    lock?.release();
    await units.close();
    throw error;
  }
}

function lockUnits(path: string): FolderLock {
  const lock = lockFolder(path);
  if (lock !== null) return lock;
  throw new StartError(
    `Taking over the units in "${path}" failed: another daemon on this host holds them; end that one, or set units_directory to a folder of its own`,
  );
}

function clusterOf({ etcdServers }: FltConfig, { members }: Place): NamedCluster | null {
  if (etcdServers.length > 0) return ETCD_CLUSTER;
  return members === null ? null : { id: members.clusterId, members: [...members.members.values()] };
}

async function openStore(
  { config, log, onFatal }: PartsOptions,
  { members, peer }: Place,
  { clusterId }: DataIdentity,
): Promise<DaemonStore> {
  const { dataDir } = config;
  if (config.etcdServers.length > 0) return await openEtcdStore(config, peer, log);
  return await StoreMember.open({ dataDir, clusterId, members, peer, log, onFatal });
}
