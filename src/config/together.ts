/**
 * What no option can see alone: options that contradict, need or void each other.
 *
 * Idea. A contradiction is refused with both places named; what is only useless, or open to strangers, is a warning.
 *
 * @module
 */
import { shortened } from "../lib/text.ts";
import { isLocalApi, isWildcard } from "./addresses.ts";
import { ConfigError } from "./config-error.ts";
import type { Sources } from "./source.ts";
import { CONFIG_OPTIONS, type ConfigField, type FltConfig } from "./table.ts";

/** Below this, and with nobody to ask its kernel, a host that is merely slow may lose its units. */
const HASTY_TTL_MS = 10_000;

/** Options that speak of an etcd, and of nothing else. */
const ETCD_ACCESS = [
  "etcdRequestTimeoutMs",
  "etcdCafile",
  "etcdKeyfile",
  "etcdCertfile",
  "etcdUsername",
  "etcdPassword",
] as const satisfies readonly ConfigField[];
const ETCD_TLS = ["etcdCafile", "etcdKeyfile", "etcdCertfile"] as const satisfies readonly ConfigField[];

/** Throws ConfigError; adds to the warnings. */
export function checkTogether(config: FltConfig, sources: Sources, warnings: string[]): void {
  checkPeers(config, sources, warnings);
  if (config.etcdServers.length === 0) warnings.push(...withoutEtcd(sources));
  else checkEtcd(config, sources, warnings);
  for (const address of config.listenApi.filter((candidate) => !isLocalApi(candidate))) {
    warnings.push(
      `Serving the API on ${isWildcard(address) ? "every interface" : "the network"} (listen_api="${address}") without ` +
        "any check of who asks: whoever reaches it can run anything as root",
    );
  }
}

function checkPeers(config: FltConfig, sources: Sources, warnings: string[]): void {
  const { advertisePeer, initialCluster, listenPeer } = config;
  if (advertisePeer !== null && isWildcard(advertisePeer)) {
    throw new ConfigError(
      `Cannot use advertise_peer="${advertisePeer}" in ${sources.advertisePeer.where}: no other machine can reach it ` +
        "there. Write this machine's own address",
    );
  }
  const wildcard = initialCluster.find(isWildcard);
  if (wildcard !== undefined) {
    throw new ConfigError(
      `Cannot use "${wildcard}" of initial_cluster in ${sources.initialCluster.where}: it names no machine`,
    );
  }
  if (advertisePeer !== null && initialCluster.length > 0 && !initialCluster.includes(advertisePeer)) {
    throw new ConfigError(
      `Cannot use advertise_peer="${advertisePeer}" in ${sources.advertisePeer.where}: it is not in initial_cluster, ` +
        `which is ${shortened(initialCluster.join(","), 500)}`,
    );
  }
  if (listenPeer !== null && isWildcard(listenPeer)) {
    warnings.push(
      `Listening for machines on every interface (listen_peer="${listenPeer}"): whoever reaches it can join. ` +
        "Write one address of this machine unless a firewall guards it",
    );
  }
}

/** A fleet.conf may name certificates and users of an etcd that is not there any more. */
function withoutEtcd(sources: Sources): string[] {
  return ETCD_ACCESS.filter((field) => sources[field].kind !== "default").map(
    (field) =>
      `Option "${CONFIG_OPTIONS[field].key}" in ${sources[field].where} has no effect: without etcd_servers flt keeps ` +
      "its own replicated store",
  );
}

function checkEtcd(config: FltConfig, sources: Sources, warnings: string[]): void {
  if (config.initialCluster.length > 0) {
    throw new ConfigError(
      `Cannot use etcd_servers in ${sources.etcdServers.where} together with initial_cluster in ` +
        `${sources.initialCluster.where}: the store is either an etcd or flt's own. Remove one of the two`,
    );
  }
  checkPair(config, sources, "etcdKeyfile", "etcdCertfile", "a key alone proves nothing");
  checkPair(config, sources, "etcdCertfile", "etcdKeyfile", "a certificate needs its key");
  checkPair(config, sources, "etcdUsername", "etcdPassword", "etcd knows no user without one");
  checkPair(config, sources, "etcdPassword", "etcdUsername", "a password is somebody's");
  const { etcdServers } = config;
  if (!etcdServers.some((server) => server.startsWith("https:"))) {
    for (const field of ETCD_TLS.filter((candidate) => config[candidate] !== null)) {
      warnings.push(
        `Option "${CONFIG_OPTIONS[field].key}" in ${sources[field].where} has no effect: none of etcd_servers begins with https`,
      );
    }
  }
  if (
    config.etcdUsername !== "" &&
    etcdServers.some((server) => /^http:\/\/(?!127\.|localhost:|\[::1\])/.test(server))
  ) {
    warnings.push(
      "Sending etcd's password over the network in clear text: write https in etcd_servers, and etcd_cafile if needed",
    );
  }
  if (config.listenPeer === null && config.advertisePeer === null && config.agentTtlMs < HASTY_TTL_MS) {
    warnings.push(
      `Taking any machine for dead that etcd has not heard of for agent_ttl=${config.agentTtlMs / 1000}s, even if its ` +
        "host lives: set listen_peer on every machine, so that its kernel is asked first, or agent_ttl=30s, fleet's default",
    );
  }
}

type Pair = "etcdKeyfile" | "etcdCertfile" | "etcdUsername" | "etcdPassword";

function checkPair(config: FltConfig, sources: Sources, field: Pair, partner: Pair, why: string): void {
  if (isUnset(config[field]) || !isUnset(config[partner])) return;
  throw new ConfigError(
    `Cannot use ${CONFIG_OPTIONS[field].key} in ${sources[field].where} without ${CONFIG_OPTIONS[partner].key}: ${why}`,
  );
}

function isUnset(value: string | null): boolean {
  return value === null || value === "";
}
