/**
 * The daemon's options: one table for flags, environment, configuration file, defaults, help and man pages.
 *
 *   key "agent_ttl"  ->  --agent-ttl 4s   FLT_AGENT_TTL=4s   FLEET_AGENT_TTL=4s   agent_ttl=4s in the file
 *
 * Idea. Every option of fleet is known here, so that a fleet.conf can be taken over as it is. `effect` says what becomes
 * of it: "active", or "ignored", where it means nothing here (accepted, with a note in the log).
 *
 * Not here. How values are written (values.ts), where they are looked for (load.ts), which go together (together.ts).
 *
 * @module
 */
import { parseApiAddress, parseEtcdServer, parsePeerAddress } from "./addresses.ts";
import {
  duration,
  integer,
  KEY_PREFIX,
  listOf,
  OPTIONAL_HOST,
  oneOf,
  optional,
  PAIRS,
  PATH,
  SWITCH,
  seconds,
  TEXT,
  type ValueKind,
} from "./values.ts";

const SECOND_MS = 1000;
const HOUR_MS = 3600 * SECOND_MS;

export type Effect = { readonly kind: "active" } | { readonly kind: "ignored"; readonly why: string };

const ACTIVE: Effect = { kind: "active" };

export interface ConfigOption<T> {
  /** As in the file; the flag has dashes, the environment upper case. */
  readonly key: string;
  readonly kind: ValueKind<T>;
  /** As it would be written. */
  readonly default: string;
  /** The default when called as fleetd. */
  readonly fleetDefault?: string;
  /** The default with systemd_user, below the folders of user-places.ts: "$XDG_RUNTIME_DIR/flt.sock". */
  readonly userDefault?: string;
  /** What an empty default stands for. */
  readonly unset?: string;
  readonly help: string;
  readonly example: string;
  readonly effect: Effect;
  /** A reload (SIGHUP) changes it in a daemon that runs; the others stay as they were at its start. */
  readonly reloads?: true;
  /** Never shown in messages. */
  readonly secret?: boolean;
}

function option<T>(
  key: string,
  kind: ValueKind<T>,
  written: string,
  rest: Omit<ConfigOption<T>, "key" | "kind" | "default">,
): ConfigOption<T> {
  return { key, kind, default: written, ...rest };
}

const API_ADDRESSES = listOf(parseApiAddress, { placeholder: "ENDPOINT", allowEmpty: false });
const PEER_ADDRESS: ValueKind<string> = { placeholder: "HOST:PORT", parse: parsePeerAddress };
const PEER_ADDRESSES = listOf(parsePeerAddress, { placeholder: "HOST:PORT", allowEmpty: true });
const ETCD_SERVERS = listOf(parseEtcdServer, { placeholder: "URL", allowEmpty: true });

/** By the name that the option has in FltConfig. Durations are milliseconds there. */
export const CONFIG_OPTIONS = {
  dataDir: option("data_dir", PATH, "/var/lib/flt", {
    userDefault: "$XDG_DATA_HOME/flt",
    help:
      "Folder of this member's part of the store (none with etcd_servers) and of its identity. It belongs to one " +
      "machine and one cluster.",
    example: "/var/lib/flt",
    effect: ACTIVE,
  }),
  listenApi: option("listen_api", API_ADDRESSES, "unix:///run/flt.sock", {
    fleetDefault: "unix:///var/run/fleet.sock",
    userDefault: "unix://$XDG_RUNTIME_DIR/flt.sock",
    help: "Where the API is served: unix sockets, and TCP only if asked. Whoever reaches it can run anything as root.",
    example: "unix:///run/flt.sock,http://127.0.0.1:8080",
    effect: ACTIVE,
    reloads: true,
  }),
  listenPeer: option("listen_peer", optional(PEER_ADDRESS), "", {
    unset: "closed for a cluster of one and with etcd_servers, else public_ip:2380",
    help:
      "Where the cluster's other machines reach this one. With etcd_servers it is needed only for status and journal " +
      "without SSH, and to tell a dead host from a dead daemon.",
    example: "10.0.0.1:2380",
    effect: ACTIVE,
  }),
  advertisePeer: option("advertise_peer", optional(PEER_ADDRESS), "", {
    unset: "public_ip with the port of listen_peer",
    help:
      "The address under which other machines reach this one. It finds itself in initial_cluster by it. With " +
      "etcd_servers it opens the peer port, as listen_peer does.",
    example: "10.0.0.1:2380",
    effect: ACTIVE,
  }),
  initialCluster: option("initial_cluster", PEER_ADDRESSES, "", {
    unset: "a cluster of one",
    help: "Peer addresses of the cluster's first members, the same list on each of them. Not with etcd_servers.",
    example: "10.0.0.1:2380,10.0.0.2:2380,10.0.0.3:2380",
    effect: ACTIVE,
  }),
  publicIp: option("public_ip", OPTIONAL_HOST, "", {
    unset: "the first IPv4 address of the interface with the default route",
    help: "The address that this machine publishes.",
    example: "10.0.0.1",
    effect: ACTIVE,
    reloads: true,
  }),
  metadata: option("metadata", PAIRS, "", {
    unset: "none",
    help: "What units can ask of a machine with MachineMetadata. Edits over the API win over it.",
    example: "region=us-west,disk=ssd",
    effect: ACTIVE,
    reloads: true,
  }),
  agentTtlMs: option("agent_ttl", duration(SECOND_MS, HOUR_MS), "4s", {
    help:
      "How long a machine may be silent before the cluster asks whether it is dead. It says that it lives every " +
      "quarter of this.",
    example: "30s",
    effect: ACTIVE,
    reloads: true,
  }),
  daemonGraceMs: option("daemon_grace", duration(0, 24 * HOUR_MS), "60s", {
    help: "How long a machine keeps its units while its kernel still answers but its daemon does not.",
    example: "2m",
    effect: ACTIVE,
    reloads: true,
  }),
  engineReconcileIntervalMs: option("engine_reconcile_interval", seconds(100, HOUR_MS), "2", {
    help: "Seconds between full passes of the engine. Events are acted upon at once; this is a safety net.",
    example: "2",
    effect: ACTIVE,
    reloads: true,
  }),
  unitsDirectory: option("units_directory", PATH, "/run/flt/units", {
    userDefault: "$XDG_RUNTIME_DIR/flt/units",
    help: "Folder for the files of the units that this machine holds.",
    example: "/run/flt/units",
    effect: ACTIVE,
  }),
  tokenLimit: option("token_limit", integer(1, 65_535), "100", {
    help: "Items on one page of the API.",
    example: "100",
    effect: ACTIVE,
    reloads: true,
  }),
  etcdKeyPrefix: option("etcd_key_prefix", KEY_PREFIX, "/_coreos.com/fleet/", {
    help: "What all keys in the store begin with. The same on every machine.",
    example: "/_coreos.com/fleet/",
    effect: ACTIVE,
  }),
  disableEngine: option("disable_engine", SWITCH, "false", {
    help: "Places no units from this machine, even when it leads the cluster.",
    example: "true",
    effect: ACTIVE,
    reloads: true,
  }),
  verbosity: option("verbosity", integer(0, 2), "0", {
    help: "0 logs what an operator needs, 1 and 2 what a developer needs.",
    example: "1",
    effect: ACTIVE,
    reloads: true,
  }),
  logFormat: option("log_format", oneOf("auto", "journal", "text"), "auto", {
    help: "journal sends lines with fields to systemd's journal, text writes them to stderr; auto looks where stderr goes.",
    example: "text",
    effect: ACTIVE,
    reloads: true,
  }),
  etcdServers: option("etcd_servers", ETCD_SERVERS, "", {
    unset: "none, flt keeps its own replicated store",
    help: "An etcd cluster (v3.4 or later) that is the store; the servers are tried in turn. The same one on every machine.",
    example: '["https://10.0.0.5:2379","https://10.0.0.6:2379"]',
    effect: ACTIVE,
  }),
  etcdRequestTimeoutMs: option("etcd_request_timeout", seconds(100, HOUR_MS), "1.0", {
    help: "Seconds that a request to etcd may take. Only with etcd_servers, like the other options of etcd.",
    example: "2.5",
    effect: ACTIVE,
  }),
  etcdCafile: option("etcd_cafile", optional(PATH), "", {
    unset: "the host's own authorities",
    help: "Certificate authority, in PEM, that the certificates of etcd's servers are checked against.",
    example: "/etc/flt/etcd-ca.pem",
    effect: ACTIVE,
  }),
  etcdKeyfile: option("etcd_keyfile", optional(PATH), "", {
    unset: "none",
    help: "Key of the client certificate, in PEM.",
    example: "/etc/flt/etcd-key.pem",
    effect: ACTIVE,
  }),
  etcdCertfile: option("etcd_certfile", optional(PATH), "", {
    unset: "none",
    help: "Certificate, in PEM, that this machine shows to etcd.",
    example: "/etc/flt/etcd-cert.pem",
    effect: ACTIVE,
  }),
  etcdUsername: option("etcd_username", TEXT, "", {
    unset: "none",
    help: "User of etcd, where it asks for one.",
    example: "fleet",
    effect: ACTIVE,
  }),
  etcdPassword: option("etcd_password", TEXT, "", {
    unset: "none",
    help: "Password of that user. Other users of this machine see flags: put it into a file that only root reads.",
    example: "secret",
    effect: ACTIVE,
    secret: true,
  }),
  disableWatches: option("disable_watches", SWITCH, "false", {
    help: "Polls in place of watching.",
    example: "true",
    effect: { kind: "ignored", why: "flt never polls" },
  }),
  systemdUser: option("systemd_user", SWITCH, "false", {
    help: "Runs units in the systemd of the user who starts the daemon, without root: a way to try flt.",
    example: "true",
    effect: ACTIVE,
  }),
  enableGrpc: option("enable_grpc", SWITCH, "false", {
    help: "Fleet's own registry without etcd's.",
    example: "true",
    effect: { kind: "ignored", why: "flt keeps its own replicated store, or uses etcd_servers" },
  }),
  verifyUnits: option("verify_units", SWITCH, "false", {
    help: "Refuses unsigned units.",
    example: "true",
    effect: { kind: "ignored", why: "units are not signed any more" },
  }),
  authorizedKeysFile: option("authorized_keys_file", TEXT, "", {
    help: "Keys that may sign units.",
    example: "/path/to/keys",
    effect: { kind: "ignored", why: "units are not signed any more" },
  }),
} as const;

type Options = typeof CONFIG_OPTIONS;
export type ConfigField = keyof Options;

/** What the daemon is told, checked: see CONFIG_OPTIONS for each field's meaning. null: not set. */
export type FltConfig = {
  readonly [Field in ConfigField]: Options[Field] extends ConfigOption<infer Value> ? Value : never;
};

/** Names, typed loosely, for those who go through all options. */
export const CONFIG_FIELDS = Object.keys(CONFIG_OPTIONS) as ConfigField[];
export const CONFIG_KEYS: readonly string[] = CONFIG_FIELDS.map((field) => CONFIG_OPTIONS[field].key);

/** The option with this key as the file, the environment or a flag spells it, if there is one. */
export function fieldOfKey(key: string): ConfigField | undefined {
  const wanted = key.toLowerCase().replaceAll("-", "_");
  return CONFIG_FIELDS.find((field) => CONFIG_OPTIONS[field].key === wanted);
}

export function flagName(key: string): string {
  return `--${key.replaceAll("_", "-")}`;
}
