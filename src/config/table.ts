/**
 * The daemon's options: one table for flags, environment, configuration file, defaults, help and man pages.
 *
 *   key "agent_ttl"  ->  --agent-ttl 4s   FLT_AGENT_TTL=4s   FLEET_AGENT_TTL=4s   agent_ttl=4s in the file
 *
 * Idea. Every option of fleet is known here, so that a fleet.conf can be taken over as it is. `effect` says what becomes
 * of it: "active"; "ignored", where it means nothing here (accepted, with a note in the log); "refused", where ignoring it
 * would do something else than was asked for.
 *
 * Not here. How values are written (values.ts), where they are looked for (load.ts).
 *
 * @module
 */
import { parseApiAddress, parsePeerAddress } from "./addresses.ts";
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

export type Effect =
  | { readonly kind: "active" }
  | { readonly kind: "ignored"; readonly why: string }
  | { readonly kind: "refused"; readonly why: string };

const ACTIVE: Effect = { kind: "active" };
const OWN_STORE = "flt keeps its own replicated store";

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
const URLS = listOf(TEXT.parse, { placeholder: "URL", allowEmpty: true });

/** By the name that the option has in FltConfig. Durations are milliseconds there. */
export const CONFIG_OPTIONS = {
  dataDir: option("data_dir", PATH, "/var/lib/flt", {
    userDefault: "$XDG_DATA_HOME/flt",
    help: "Folder of this member's part of the store and of its identity. It belongs to one machine and one cluster.",
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
    unset: "closed for a cluster of one, else public_ip:2380",
    help: "Where the cluster's other machines reach this one.",
    example: "10.0.0.1:2380",
    effect: ACTIVE,
  }),
  advertisePeer: option("advertise_peer", optional(PEER_ADDRESS), "", {
    unset: "public_ip with the port of listen_peer",
    help: "The address under which other machines reach this one. It finds itself in initial_cluster by it.",
    example: "10.0.0.1:2380",
    effect: ACTIVE,
  }),
  initialCluster: option("initial_cluster", PEER_ADDRESSES, "", {
    unset: "a cluster of one",
    help: "Peer addresses of the cluster's first members, the same list on each of them.",
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
    help: "journal puts systemd's priority before each line, text the level's name; auto looks where the log goes.",
    example: "text",
    effect: ACTIVE,
    reloads: true,
  }),
  etcdServers: option("etcd_servers", URLS, "", {
    unset: `none: ${OWN_STORE}`,
    help: "An etcd cluster that is the store. This version has none but its own.",
    example: '["http://127.0.0.1:2379"]',
    effect: {
      kind: "refused",
      why: `${OWN_STORE}, and cannot use an etcd yet. Remove the option; initial_cluster names the machines of a cluster`,
    },
  }),
  etcdRequestTimeoutMs: option("etcd_request_timeout", seconds(1, HOUR_MS), "1.0", {
    help: "Seconds that a request to etcd may take.",
    example: "1.0",
    effect: { kind: "ignored", why: OWN_STORE },
  }),
  etcdCafile: option(
    "etcd_cafile",
    TEXT,
    "",
    etcdAccess("Certificate authority of etcd's servers.", "/path/to/CAfile"),
  ),
  etcdKeyfile: option("etcd_keyfile", TEXT, "", etcdAccess("Key of the client certificate for etcd.", "/path/to/key")),
  etcdCertfile: option("etcd_certfile", TEXT, "", etcdAccess("Client certificate for etcd.", "/path/to/cert")),
  etcdUsername: option("etcd_username", TEXT, "", etcdAccess("User name for etcd.", "fleet")),
  etcdPassword: option("etcd_password", TEXT, "", { ...etcdAccess("Password for etcd.", "secret"), secret: true }),
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
    help: "Fleet's own replacement for etcd.",
    example: "true",
    effect: { kind: "ignored", why: OWN_STORE },
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

function etcdAccess(help: string, example: string): Omit<ConfigOption<string>, "key" | "kind" | "default"> {
  return { help, example, effect: { kind: "ignored", why: OWN_STORE } };
}

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
