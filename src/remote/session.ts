/**
 * A session: a connection to an etcd server that was asked who it is and found fit.
 *
 * Problem. A server that accepts connections may be stopped, without a leader, a learner, too old, or of another cluster.
 * Idea. Its status tells all of it in one call, which it answers without a login.
 * Invariants.
 * - All sessions of one RemoteKv are with one cluster: revisions of two clusters have nothing to do with each other.
 *
 * @module
 */
import { Maintenance, type StatusResponse } from "../etcd-proto/etcd_pb.ts";
import type { Connection } from "./grpc/connection.ts";
import { GrpcError, Status } from "./grpc/status.ts";
import type { Login } from "./login.ts";
import { ask, encodeRequest } from "./rpc.ts";

export interface Session {
  readonly connection: Connection;
  readonly version: string;
  readonly clusterId: bigint;
  /** Whether an answer to a progress request keeps its place among the events (see remote-watch.ts). */
  readonly ordersProgress: boolean;
}

const HELLO_TIMEOUT_MS = 2_000;
const VERSION_MIN = "3.4.0";
/** From here on progress goes the way of the events: https://github.com/etcd-io/etcd/issues/15220. */
const ORDERED_PROGRESS_SINCE = { "3.4": "3.4.25", "3.5": "3.5.8" };

/** Throws GrpcError with the reason why this server will not do. */
export async function hello(
  connection: Connection,
  login: Login,
  clusterId: bigint | undefined,
  signal: AbortSignal,
): Promise<Session> {
  const request = encodeRequest(Maintenance.method.status.input, {});
  const status = await ask(connection, Maintenance.method.status, request, { timeoutMs: HELLO_TIMEOUT_MS, signal });
  const problem = problemOf(status, clusterId);
  if (problem !== undefined) throw new GrpcError(Status.unavailable, problem, "not-sent");
  await login.ensure(connection);
  return {
    connection,
    version: status.version,
    clusterId: status.header?.clusterId ?? 0n,
    ordersProgress: ordersProgress(status.version),
  };
}

function problemOf({ version, leader, isLearner, header }: StatusResponse, clusterId?: bigint): string | undefined {
  if (!isAtLeast(version, VERSION_MIN)) return `it is etcd ${version}; 3.4 or later is needed`;
  const found = header?.clusterId ?? 0n;
  if (clusterId !== undefined && found !== clusterId) {
    const [had, has] = [clusterId, found].map(formatClusterId);
    return `it belongs to etcd cluster ${has}, and ${had} is in use; if the etcd was made anew, restart the daemon`;
  }
  if (isLearner) return "it is a learner, which serves no clients";
  if (leader === 0n) return "it has no leader: its cluster has no quorum, or is electing";
  return undefined;
}

export function formatClusterId(id: bigint): string {
  return id.toString(16);
}

export function ordersProgress(version: string): boolean {
  const line = version.split(".").slice(0, 2).join(".");
  const since = ORDERED_PROGRESS_SINCE[line as keyof typeof ORDERED_PROGRESS_SINCE];
  return since === undefined || isAtLeast(version, since);
}

/** Compares "3.4.23" by its three numbers; whatever follows them (-rc.0, +git) is ignored. */
function isAtLeast(version: string, least: string): boolean {
  const [have, want] = [version, least].map((text) => text.split(".").map((part) => Number.parseInt(part, 10) || 0));
  for (let i = 0; i < 3; i++) {
    const difference = (have?.[i] ?? 0) - (want?.[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}
