/**
 * This daemon's place: its addresses and the cluster that they make it a member of.
 *
 * Idea. What the configuration leaves open follows from the host: public_ip from the default route, listen_peer from public_ip,
 * advertise_peer from both. Everything about "who am I among whom" is decided here, once, before anything is opened.
 *
 * @module
 */
import type { FltConfig } from "../config/table.ts";
import { splitHostPort } from "../platform/addresses.ts";
import { type ClusterMembers, deriveCluster } from "../replica/index.ts";
import { StartError } from "./start-error.ts";

export const DEFAULT_PEER_PORT = 2380;

export interface Place {
  /** "" for a cluster of one on a host without a default route: there is nobody to tell. */
  readonly publicIp: string;
  /** null: a cluster of one, without a peer port. */
  readonly cluster: ClusterPlace | null;
}

export interface ClusterPlace {
  readonly listen: string;
  readonly advertise: string;
  readonly members: ClusterMembers;
}

/** @param defaultAddress Asks the host, when public_ip is not set. */
export function findPlace(config: FltConfig, defaultAddress: () => string | null): Place {
  const publicIp = config.publicIp ?? defaultAddress();
  if (config.initialCluster.length === 0) return { publicIp: publicIp ?? "", cluster: null };
  if (publicIp === null && (config.listenPeer === null || config.advertisePeer === null)) {
    throw new StartError(
      "Finding this host's address failed: it has no default route with an IPv4 address; set public_ip in the configuration",
    );
  }
  const listen = config.listenPeer ?? joinHostPort(publicIp ?? "", DEFAULT_PEER_PORT);
  const advertise = config.advertisePeer ?? joinHostPort(publicIp ?? "", splitHostPort(listen).port);
  return {
    publicIp: publicIp ?? splitHostPort(advertise).host,
    cluster: { listen, advertise, members: deriveCluster(config.initialCluster, advertise) },
  };
}

function joinHostPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
