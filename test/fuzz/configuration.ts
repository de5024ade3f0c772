/**
 * The daemon's configuration from hostile files, variables and flags; and what a reload makes of another one.
 *
 * Checked of each: it can be used, every option within its limits; or it is refused with a ConfigError that says where and what in
 * one short line. No password is ever in what is said. A reload leaves alone what a running daemon cannot change, and
 * a second one with the same configuration changes nothing more.
 *
 * @module
 */
import fc from "fast-check";
import { ConfigError } from "../../src/config/config-error.ts";
import { DEFAULT_CONFIG_PATH, type LoadedConfig, loadConfig } from "../../src/config/load.ts";
import { planReload, type ReloadPlan } from "../../src/config/reload.ts";
import {
  CONFIG_FIELDS,
  CONFIG_KEYS,
  CONFIG_OPTIONS,
  type ConfigField,
  type ConfigOption,
  type FltConfig,
  flagName,
} from "../../src/config/table.ts";
import { value } from "./words.ts";

export interface HostileConfig {
  readonly file: Uint8Array;
  readonly environment: Readonly<Record<string, string>>;
  readonly argv: readonly string[];
  readonly uid: number;
  readonly program: string;
}

const SECRET = "hunter2-secret";
/** A line of a log, or of a terminal. */
const MESSAGE_MAX_CHARACTERS = 1_000;

export function checkConfig(hostile: HostileConfig): void {
  const loaded = loadedOrRefused(hostile);
  if (loaded === null) return;
  checkValues(loaded.config);
  for (const warning of loaded.warnings) checkWords(warning);
}

export function checkReload([running, next]: readonly [HostileConfig, HostileConfig]): void {
  const now = loadedOrRefused(running);
  const wanted = loadedOrRefused(next);
  if (now === null || wanted === null) return;
  const plan = plannedOrRefused(now.config, wanted);
  if (plan === null) return;
  for (const field of CONFIG_FIELDS) {
    const option: ConfigOption<unknown> = CONFIG_OPTIONS[field];
    const isKept = same(plan.config[field], now.config[field]);
    if (!isKept && option.reloads !== true) throw new Error(`${option.key} has changed, which no reload may do`);
    if (isKept === plan.changed.includes(option.key))
      throw new Error(`${option.key}: ${plan.changed} is said to change`);
    if (!isKept && !same(plan.config[field], wanted.config[field]))
      throw new Error(`${option.key} is neither old nor new`);
  }
  for (const words of plan.refusals) checkWords(words);
  const again = planReload(plan.config, wanted);
  if (again.changed.length > 0) throw new Error(`Read a second time, it changes ${again.changed}`);
  if (!same(again.refusals, plan.refusals)) throw new Error("Read a second time, it refuses something else");
}

/** Refused for an option that there is not, and for nothing else. */
function plannedOrRefused(now: FltConfig, wanted: LoadedConfig): ReloadPlan | null {
  try {
    const plan = planReload(now, wanted);
    if (wanted.unknown.length > 0) throw new Error(`${wanted.unknown[0]?.key} is no option, and was taken`);
    return plan;
  } catch (error) {
    if (!(error instanceof ConfigError) || wanted.unknown.length === 0) throw error;
    checkWords(error.message);
    return null;
  }
}

function same(one: unknown, other: unknown): boolean {
  return Bun.deepEquals(one, other, true);
}

function loadedOrRefused({ file, environment, argv, uid, program }: HostileConfig): LoadedConfig | null {
  // As the daemon's own reading of a file decodes it.
  const text = Buffer.from(file).toString("utf8");
  try {
    return loadConfig({
      argv,
      env: environment,
      readFile: (path) => (path === DEFAULT_CONFIG_PATH || path === "/own.conf" ? text : null),
      argv0Name: program,
      user: { uid, home: "/home/me" },
    });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    checkWords(error.message);
    checkPlace(error.message);
    return null;
  }
}

function checkWords(message: string): void {
  if (message.length > MESSAGE_MAX_CHARACTERS)
    throw new Error(`A message of ${message.length} characters: ${message.slice(0, 200)}`);
  if (/[\0-\x1f]/.test(message)) throw new Error(`A message of several lines: ${JSON.stringify(message)}`);
  if (message.includes(SECRET)) throw new Error(`A message tells the password: ${message}`);
}

/** Whoever reads it must find what to change: the line of the file, the option, or the word of the command line. */
function checkPlace(message: string): void {
  const names = CONFIG_KEYS.some((key) => message.includes(key) || message.includes(flagName(key)));
  const isPlaced = names || /line \d+: |flag "?-|argument "|configuration file "/.test(message);
  if (!isPlaced) throw new Error(`A refusal that names nothing: ${message}`);
}

const PEER = /^(\[[0-9a-f:.]+\]|[a-z0-9.-]+):([1-9]\d{0,4})$/;
const API = /^(unix:\/\/\/[^\0-\x1f\x7f]{1,106}|http:\/\/(\[[0-9a-f:.]+\]|[a-z0-9.-]+):[1-9]\d{0,4})$/;
const ETCD = /^https?:\/\/(\[[0-9a-f:.]+\]|[a-z0-9.-]+):[1-9]\d{0,4}$/;

/** What the rest of the daemon relies on; says in other words what the kinds of values say. */
function checkValues(config: FltConfig): void {
  const wrong: string[] = [];
  const must = (isRight: boolean, field: ConfigField) => {
    if (!isRight) wrong.push(`${field}=${JSON.stringify(config[field])}`);
  };
  const within = (field: "agentTtlMs" | "daemonGraceMs" | "tokenLimit" | "verbosity", min: number, max: number) =>
    must(Number.isFinite(config[field]) && config[field] >= min && config[field] <= max, field);
  within("agentTtlMs", 1_000, 3_600_000);
  within("daemonGraceMs", 0, 86_400_000);
  within("tokenLimit", 1, 65_535);
  within("verbosity", 0, 2);
  must(Number.isInteger(config.tokenLimit), "tokenLimit");
  for (const field of ["dataDir", "unitsDirectory", "etcdKeyPrefix"] as const) {
    must(/^\/[^\0-\x1f\x7f\ufffd]*$/.test(config[field]), field);
  }
  for (const field of ["listenPeer", "advertisePeer"] as const)
    must(config[field] === null || PEER.test(config[field]), field);
  must(
    config.initialCluster.every((address) => PEER.test(address)),
    "initialCluster",
  );
  must(new Set(config.initialCluster).size === config.initialCluster.length, "initialCluster");
  must(config.listenApi.length > 0 && config.listenApi.every((address) => API.test(address)), "listenApi");
  must(config.publicIp === null || /^[a-z0-9.:-]+$/.test(config.publicIp), "publicIp");
  const pairs = Object.entries(config.metadata);
  must(
    pairs.every(([key, text]) => key !== "" && typeof text === "string" && !/[\0-\x1f\ufffd]/.test(key + text)),
    "metadata",
  );
  must(Object.getPrototypeOf(config.metadata) === Object.prototype, "metadata");
  must(["auto", "journal", "text"].includes(config.logFormat), "logFormat");
  must(
    config.etcdServers.every((address) => ETCD.test(address)),
    "etcdServers",
  );
  must(Object.keys(config).sort().join() === [...CONFIG_FIELDS].sort().join(), "dataDir");
  if (wrong.length > 0) throw new Error(`Taken as it is: ${wrong.join(", ")}`);
}

const key = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom(...CONFIG_KEYS) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      "__proto__",
      "constructor",
      "hasOwnProperty",
      "toString",
      "data-dir",
      "AGENT_TTL",
      "agent_tl",
      "a.b",
      "a[]",
      "",
    ),
  },
  { weight: 1, arbitrary: fc.string({ maxLength: 6 }) },
);
const address = fc.constantFrom(
  "10.0.0.1",
  "10.0.0.1:2380,10.0.0.2",
  "10.0.0.1,10.0.0.1:2380",
  "[fd00::1]:2380",
  "0.0.0.0:2380",
  "::1",
  "host:0",
  "host:99999",
  "-host:80",
  `${"a".repeat(300)}:80`,
  "unix:///run/flt.sock",
  "unix:///",
  "unix://relative",
  `unix:///${"a".repeat(200)}`,
  "http://127.0.0.1:8080",
  "https://127.0.0.1:8080",
  "http://127.0.0.1",
  "http://user@127.0.0.1:80",
);
const scalar = fc.constantFrom(
  "true",
  "maybe",
  "0",
  "-0",
  "1e3",
  "0x10",
  "99999999999999999999",
  "4s",
  "4",
  "-4s",
  "1h1m1s",
  "999h",
  "NaN",
  "Infinity",
  "1.5",
  "٤",
  "journal",
  "/",
  "//",
  "/a/../b",
  "relative",
  "/x\u007f",
);
const pairs = fc.constantFrom(
  "a=b",
  "a=b,a=c",
  "__proto__=x",
  "a=b,__proto__=c,constructor=d",
  "=b",
  "a",
  '"a=b',
  '"a"="b,c"',
  "a=é",
  "a=\0",
);
const lists = fc.constantFrom(
  "[]",
  '["a"]',
  "[1]",
  '["a",',
  "[a,b]",
  "[[a]]",
  '["__proto__"]',
  "{}",
  '"',
  '"""',
  "'",
  "\\",
  "a # b",
  "a;b",
);
const text = fc.oneof(
  { weight: 3, arbitrary: address },
  { weight: 3, arbitrary: scalar },
  { weight: 2, arbitrary: pairs },
  { weight: 2, arbitrary: lists },
  { weight: 1, arbitrary: value },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 100_000 }).map((length) => "x".repeat(length)) },
);
/** A value that its option takes, or any. */
const assignment = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .constantFrom(...CONFIG_FIELDS)
      .map((field) => [CONFIG_OPTIONS[field].key, CONFIG_OPTIONS[field].example] as const),
  },
  { weight: 3, arbitrary: fc.tuple(key, text) },
  { weight: 1, arbitrary: fc.constant(["etcd_password", SECRET] as const) },
);

const openAssignment = assignment.filter(([, written]) => written !== SECRET);

const fileLine = fc.oneof(
  { weight: 8, arbitrary: assignment.map(([name, written]) => `${name}=${written}`) },
  { weight: 2, arbitrary: assignment.map(([name, written]) => `  ${name} = "${written}" # said`) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      "[section]",
      "[__proto__]",
      "[a]=b",
      "# comment",
      ";",
      "=",
      "a",
      "\ufeff",
      "\0",
      "__proto__[x]=y",
      "a.b=c",
    ),
  },
  { weight: 1, arbitrary: value },
);
const fileText = fc
  .tuple(fc.array(fileLine, { maxLength: 6 }), fc.constantFrom("\n", "\r\n", "\r", "\n\n"))
  .map(([lines, end]) => Buffer.from(lines.join(end)));
const file = fc.oneof(
  { weight: 8, arbitrary: fileText },
  // Latin-1, UTF-16, anything.
  { weight: 1, arbitrary: fileText.map((bytes) => Buffer.from(bytes.toString(), "utf16le")) },
  {
    weight: 1,
    arbitrary: fc.tuple(fileText, fc.uint8Array({ maxLength: 8 })).map(([bytes, end]) => Buffer.concat([bytes, end])),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom("data_dir=/gr\xf6\xdfe", "metadata=ort=K\xf6ln")
      .map((latin) => Buffer.from(latin, "latin1")),
  },
);

const variable = fc
  .tuple(fc.constantFrom("FLT_", "FLEET_", "FLT", "flt_"), assignment)
  .map(([prefix, [name, written]]) => [`${prefix}${name.toUpperCase()}`, written] as const);
const place = fc.constantFrom(
  ["XDG_CONFIG_HOME", "relative"],
  ["XDG_RUNTIME_DIR", "/run/user/1\n"],
  ["XDG_RUNTIME_DIR", `/${"r".repeat(120)}`],
  ["XDG_DATA_HOME", "/d/"] as const,
);
/** Everybody on the host can read a command line: no password there is kept from anybody. */
const word = fc.oneof(
  { weight: 5, arbitrary: openAssignment.map(([name, written]) => [`--${name.replaceAll("_", "-")}=${written}`]) },
  { weight: 2, arbitrary: openAssignment.map(([name, written]) => [`-${name}`, written]) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(
        "--config=/own.conf",
        "--config=",
        "--config",
        "--",
        "-",
        "x",
        "--=x",
        "--help",
        "version",
        "--__proto__=x",
      )
      .map((one) => [one]),
  },
);

export const hostileConfig: fc.Arbitrary<HostileConfig> = fc.record({
  file,
  environment: fc
    .array(fc.oneof({ weight: 8, arbitrary: variable }, place), { maxLength: 2 })
    .map((all) => Object.fromEntries(all)),
  argv: fc.array(word, { maxLength: 2 }).map((all) => all.flat()),
  uid: fc.constantFrom(0, 0, 1000),
  program: fc.constantFrom("flt", "fltd", "fleetd"),
});

/** Mostly valid: a reload between two that are refused says nothing. */
const tameConfig: fc.Arbitrary<HostileConfig> = fc.record({
  file: fc
    .uniqueArray(
      fc.constantFrom(
        ...["data_dir=/a", "data_dir=/b", "verbosity=1", "verbosity=2", "metadata=a=b,c=d", "metadata=c=d, a=b"],
        ...["metadata=__proto__=x", "agent_ttl=5s", "agent_ttl=5000ms", "agent_ttl=1m", "listen_api=/run/a.sock"],
        ...["listen_api=unix:///run/b.sock,/run/a.sock", "systemd_user=true", "systemd_user=on", "token_limit=7"],
        ...["initial_cluster=10.0.0.1", "public_ip=10.0.0.1", "etcd_username=x", `etcd_password=${SECRET}`],
        ...["log_format=text", "units_directory=/u", "units_directory=/u/", "engine_reconcile_interval=3"],
      ),
      { maxLength: 8, selector: (line) => line.split("=")[0] },
    )
    .map((lines) => Buffer.from(lines.join("\n"))),
  environment: fc.constantFrom<Record<string, string>>(
    {},
    { FLT_VERBOSITY: "1" },
    { FLEET_METADATA: "e=f" },
    { XDG_RUNTIME_DIR: "/run/me" },
  ),
  argv: fc.constantFrom<string[]>([], ["--disable-engine"], ["--data-dir=/c"]),
  uid: fc.constantFrom(0, 1000),
  program: fc.constantFrom("flt", "fleetd"),
});

export const hostileReload = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(tameConfig, tameConfig) },
  { weight: 1, arbitrary: fc.tuple(tameConfig, hostileConfig) },
);
