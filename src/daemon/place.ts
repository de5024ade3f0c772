/**
 * This daemon's place: its addresses and the cluster that they make it a member of.
 *
 * Idea. What the configuration leaves open follows from the host: public_ip from the default route, listen_peer from public_ip,
 * advertise_peer from both. Everything about "who am I among whom" is decided here, once, before anything is opened.
 * On an etcd the peer port serves calls alone, and stays closed unless the configuration names it: 2380 is etcd's own.
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
  /** Where other machines reach this one; null: nowhere. */
  readonly peer: PeerPlace | null;
  /** Who else keeps the store; null: nobody (a cluster of one), or an etcd. */
  readonly members: ClusterMembers | null;
}

export interface PeerPlace {
  readonly listen: string;
  readonly advertise: string;
}

/** @param defaultAddress Asks the host, when public_ip is not set. */
export function findPlace(config: FltConfig, defaultAddress: () => string | null): Place {
  const publicIp = config.publicIp ?? defaultAddress();
  const isNamed = config.listenPeer !== null || config.advertisePeer !== null;
  const isOnEtcd = config.etcdServers.length > 0;
  if (isOnEtcd ? !isNamed : config.initialCluster.length === 0) {
    return { publicIp: publicIp ?? "", peer: null, members: null };
  }
  if (publicIp === null && (config.listenPeer === null || config.advertisePeer === null)) {
    throw new StartError(
      "Finding this host's address failed: it has no default route with an IPv4 address; set public_ip in the configuration",
    );
  }
  const listen = config.listenPeer ?? defaultListen(config, publicIp ?? "");
  const advertise = config.advertisePeer ?? joinHostPort(publicIp ?? "", splitHostPort(listen).port);
  return {
    publicIp: publicIp ?? splitHostPort(advertise).host,
    peer: { listen, advertise },
    members: isOnEtcd ? null : deriveCluster(config.initialCluster, advertise),
  };
}

/** On an etcd no port is taken that was not named: that of advertise_peer was. */
function defaultListen({ etcdServers, advertisePeer }: FltConfig, publicIp: string): string {
  const isNamed = etcdServers.length > 0 && advertisePeer !== null;
  return joinHostPort(publicIp, isNamed ? splitHostPort(advertisePeer).port : DEFAULT_PEER_PORT);
}

function joinHostPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
