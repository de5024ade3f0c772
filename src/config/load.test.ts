/**
 * Every option from every place, who wins, and what is said when it cannot be used (spec/fleet.md section 8).
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { parseArguments } from "./arguments.ts";
import { ConfigError } from "./config-error.ts";
import { daemonHelp, sampleConfigFile } from "./help.ts";
import { DEFAULT_CONFIG_PATH, FLEET_CONFIG_PATH, type LoadedConfig, loadConfig } from "./load.ts";
import { CONFIG_FIELDS, CONFIG_KEYS, CONFIG_OPTIONS, type ConfigField, type ConfigOption, flagName } from "./table.ts";
import type { User } from "./user-places.ts";

interface Places {
  readonly argv?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** By path; a text alone stands for the default file. */
  readonly file?: string | Readonly<Record<string, string>>;
  readonly argv0Name?: string;
  readonly user?: User;
}

const ROOT: User = { uid: 0, home: "/root" };
const ALICE: User = { uid: 1000, home: "/home/alice" };

function load({ argv = [], env = {}, file = {}, argv0Name = "flt", user = ROOT }: Places): LoadedConfig {
  const files: Readonly<Record<string, string>> = typeof file === "string" ? { [DEFAULT_CONFIG_PATH]: file } : file;
  return loadConfig({ argv, env, readFile: (path) => files[path] ?? null, argv0Name, user });
}

function optionOf(field: ConfigField): ConfigOption<unknown> {
  return CONFIG_OPTIONS[field];
}

test("defaults", () => {
  const { config, warnings, path } = load({});
  expect(config).toMatchObject({
    dataDir: "/var/lib/flt",
    listenApi: ["unix:///run/flt.sock"],
    listenPeer: null,
    advertisePeer: null,
    initialCluster: [],
    publicIp: null,
    metadata: {},
    agentTtlMs: 4000,
    daemonGraceMs: 60_000,
    engineReconcileIntervalMs: 2000,
    unitsDirectory: "/run/flt/units",
    tokenLimit: 100,
    etcdKeyPrefix: "/_coreos.com/fleet/",
    disableEngine: false,
    verbosity: 0,
    logFormat: "auto",
    etcdServers: [],
  });
  expect(warnings).toEqual([]);
  expect(path).toBeNull();
});

test("called as fleetd: fleet's file and socket are the defaults", () => {
  const { config, path } = load({ argv0Name: "fleetd", file: { [FLEET_CONFIG_PATH]: "verbosity=1" } });
  expect(config.listenApi).toEqual(["unix:///var/run/fleet.sock"]);
  expect(config.verbosity).toBe(1);
  expect(path).toBe(FLEET_CONFIG_PATH);
});

test("every option of fleet.conf is known", () => {
  const fleet =
    "verbosity etcd_servers etcd_request_timeout etcd_cafile etcd_keyfile etcd_certfile etcd_username etcd_password " +
    "etcd_key_prefix public_ip metadata agent_ttl engine_reconcile_interval token_limit disable_engine disable_watches " +
    "verify_units authorized_keys_file units_directory systemd_user enable_grpc";
  expect(fleet.split(" ").filter((key) => !CONFIG_KEYS.includes(key))).toEqual([]);
});

describe("each option's example, from each place", () => {
  for (const field of CONFIG_FIELDS) {
    const { key, example, kind, effect } = optionOf(field);
    const places: readonly (readonly [string, Places, string])[] = [
      ["file", { file: `${key} = ${example}` }, `"${DEFAULT_CONFIG_PATH}" line 1`],
      ["FLT_", { env: { [`FLT_${key.toUpperCase()}`]: example } }, `environment variable FLT_${key.toUpperCase()}`],
      [
        "FLEET_",
        { env: { [`FLEET_${key.toUpperCase()}`]: example } },
        `environment variable FLEET_${key.toUpperCase()}`,
      ],
      ["flag", { argv: [`${flagName(key)}=${example}`] }, `flag ${flagName(key)}`],
      ["flag with underscores", { argv: [`--${key}=${example}`] }, `flag ${flagName(key)}`],
    ];
    for (const [name, place, where] of places) {
      test(`${key}: ${name}`, () => {
        const { config, sources, warnings } = load({ ...place, file: withCompany(field, place.file) });
        expect(config[field] as unknown).toEqual(kind.parse(example));
        expect(sources[field].where).toBe(where);
        expect(warnings.some((warning) => warning.includes("has no effect"))).toBe(effect.kind === "ignored");
      });
    }
  }
});

/** What an option of etcd needs beside it, after what the file has. */
function withCompany(field: ConfigField, file: Places["file"]): string {
  const company: Partial<Record<ConfigField, string>> = {
    etcdKeyfile: "etcd_certfile=/c",
    etcdCertfile: "etcd_keyfile=/k",
    etcdUsername: "etcd_password=p",
    etcdPassword: "etcd_username=u",
  };
  const isOfEtcd = field.startsWith("etcd") && field !== "etcdServers" && field !== "etcdKeyPrefix";
  const servers = isOfEtcd ? "etcd_servers=https://10.0.0.5:2379" : "";
  return [typeof file === "string" ? file : "", servers, company[field] ?? ""].join("\n");
}

describe("precedence", () => {
  const file = "verbosity=1\npublic_ip=10.0.0.1\ntoken_limit=1";
  const env = { FLEET_PUBLIC_IP: "10.0.0.2", FLT_TOKEN_LIMIT: "3", FLEET_TOKEN_LIMIT: "2" };
  test("file over default, FLEET_ over file, FLT_ over FLEET_, flag over all", () => {
    const without = load({ file, env }).config;
    expect([without.verbosity, without.publicIp, without.tokenLimit]).toEqual([1, "10.0.0.2", 3]);
    expect(load({ file, env, argv: ["--token-limit", "4"] }).config.tokenLimit).toBe(4);
  });
  test("an empty variable counts as unset", () => {
    expect(load({ file, env: { FLT_PUBLIC_IP: "" } }).config.publicIp).toBe("10.0.0.1");
  });
});

describe("command line", () => {
  test("a value in the next word, a switch without one, one dash, the last of two", () => {
    const { config } = load({ argv: ["-token_limit", "7", "--disable-engine", "--verbosity=1", "--verbosity=2"] });
    expect([config.tokenLimit, config.disableEngine, config.verbosity]).toEqual([7, true, 2]);
    expect(load({ argv: ["--disable-engine=false"] }).config.disableEngine).toBe(false);
  });
  test("--config names the file, which must be there", () => {
    expect(load({ argv: ["--config", "/x.conf"], file: { "/x.conf": "verbosity=2" } }).config.verbosity).toBe(2);
    expect(() => load({ argv: ["--config=/y.conf"] })).toThrow('"/y.conf": there is no such file');
  });
  test("a file that is there and cannot be read is an error, the default one, too", () => {
    const readFile = () => {
      throw new Error("EACCES: permission denied");
    };
    expect(() => loadConfig({ argv: [], env: {}, readFile, argv0Name: "flt", user: ROOT })).toThrow(
      `Cannot read configuration file "${DEFAULT_CONFIG_PATH}": EACCES: permission denied`,
    );
  });
  test("refusals", () => {
    expect(() => load({ argv: ["--data-dri=/x"] })).toThrow(
      'Cannot use flag "--data-dri": there is no such flag. Did you mean "--data-dir"?',
    );
    expect(() => load({ argv: ["--bogus"] })).toThrow("there is no such flag. See `flt daemon --help`");
    expect(() => load({ argv: ["start"] })).toThrow('Cannot use argument "start": the daemon takes flags only');
    expect(() => load({ argv: ["--data-dir"] })).toThrow("it needs a value");
    expect(() => load({ argv: ["--data-dir", "--verbosity"] })).toThrow("it needs a value");
    expect(() => load({ argv: ["--agent-ttl=x"] })).toThrow('Cannot use agent_ttl="x" in flag --agent-ttl: ');
  });
  test("help and version are asked for, not run", () => {
    expect(parseArguments(["--help"]).request).toBe("help");
    expect(parseArguments(["-h"]).request).toBe("help");
    expect(parseArguments(["version"]).request).toBe("version");
    expect(parseArguments(["--verbosity=1"]).request).toBe("run");
  });
});

describe("values that cannot be used", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["verbosity=3", "it is no whole number from 0 to 2"],
    ["token_limit=0", "it is no whole number from 1 to 65535"],
    ["token_limit=1e3", "it is no whole number"],
    ["agent_ttl=30", "it has no unit. Write 30s for seconds"],
    ["agent_ttl=4x", 'it is no duration such as "4s"'],
    ["agent_ttl=10ms", "it is not within 1s and 1h"],
    ["agent_ttl=-4s", "it is no duration"],
    ["engine_reconcile_interval=soon", "neither a number of seconds nor a duration"],
    ["disable_engine=maybe", "it is neither true nor false"],
    ["data_dir=var/lib", "it is no absolute path"],
    ["metadata=region", '"region" is no pair key=value'],
    ["metadata=a b=c,=d", '"=d" is no pair key=value'],
    ["public_ip=$private_ipv4", "neither an IP address nor a host name"],
    ["public_ip=300.1.1.1", "neither an IP address nor a host name"],
    ["log_format=xml", "it is none of auto, journal, text"],
    ["listen_api=ftp://x", "neither unix:///PATH nor http://ADDRESS:PORT"],
    ["listen_api=unix://run/x", "needs the absolute path of a socket"],
    ["listen_api=http://:8080", "names no address. Write one, such as 127.0.0.1:8080, or 0.0.0.0:8080"],
    ["listen_api=http://127.0.0.1", "needs a port"],
    ["listen_api=http://127.0.0.1:8080/x", "neither unix:///PATH"],
    ["listen_api=https://10.0.0.1:8080", "asks for TLS"],
    ["listen_api=", "it is empty"],
    ["listen_api=/run/a.sock,unix:///run/a.sock", '"unix:///run/a.sock" is in the list twice'],
    ["listen_peer=:2380", "names no address"],
    ["etcd_servers=http://", "names no address. Write that of a server of the etcd, such as 10.0.0.5:PORT"],
    ["etcd_servers=https://:2379", "names no address. Write that of a server of the etcd, such as 10.0.0.5:2379"],
    ["listen_peer=10.0.0.1:70000", "needs a port from 1 to 65535"],
    ["listen_peer=fd00::1:2380", "An IPv6 address stands in brackets"],
    ["listen_peer=[10.0.0.1]:2380", "neither an IP address nor a host name"],
    ['initial_cluster=["10.0.0.1:1"', "it is no list"],
    ["initial_cluster=10.0.0.1,10.0.0.1:2380", "is in the list twice"],
    ["initial_cluster=0.0.0.0:2380", "it names no machine"],
    ["advertise_peer=[::]:2380", "no other machine can reach it"],
    ["etcd_key_prefix=fleet", "it does not begin with /"],
    ["etcd_servers=127.0.0.1:2379", "is neither http://ADDRESS:PORT nor https://ADDRESS:PORT"],
    ["etcd_servers=http://127.0.0.1", "needs a port"],
    ["etcd_servers=http://127.0.0.1:2379,http://127.0.0.1:2379/", "is in the list twice"],
    ["etcd_servers=http://127.0.0.1:2379/v2/keys", "is neither http://ADDRESS:PORT"],
    ["etcd_request_timeout=0", "it is not within 100ms and 1h"],
    ["etcd_cafile=ca.pem", "it is no absolute path"],
  ];
  for (const [line, reason] of cases) {
    test(line, () => {
      const error = refusal(() => load({ file: `\n# x\n${line}` }));
      expect(error).toBeInstanceOf(ConfigError);
      expect(error.message).toContain(reason);
      expect(error.message).toContain(`"${DEFAULT_CONFIG_PATH}" line 3`);
      expect(error.message).toContain(line.slice(0, line.indexOf("=")));
    });
  }
  test("a password is not repeated in the message", () => {
    expect(refusal(() => load({ env: { FLT_ETCD_PASSWORD: "se\u0001cret" } })).message).not.toContain("cret");
    const { message } = refusal(() =>
      load({ file: 'etcd_servers=["http://10.0.0.5:2379","https://root:se:cr@et@10.0.0.6:2379"]' }),
    );
    expect(message).toContain('etcd_servers="[\\"http://10.0.0.5:2379\\",\\"https://…@10.0.0.6:2379\\"]"');
    expect(message).toEndWith(
      "an address in it carries a user or a password. etcd_username and etcd_password are for them",
    );
  });
});

function refusal(run: () => unknown): Error {
  try {
    run();
  } catch (error) {
    if (error instanceof Error) {
      return error;
    }
  }
  throw new Error("Expected a refusal");
}

describe("values in their one form", () => {
  const cases: readonly (readonly [string, ConfigField, unknown])[] = [
    ["agent_ttl=1m30s", "agentTtlMs", 90_000],
    ["daemon_grace=0", "daemonGraceMs", 0],
    ["engine_reconcile_interval=0.5", "engineReconcileIntervalMs", 500],
    ["engine_reconcile_interval=500ms", "engineReconcileIntervalMs", 500],
    ["etcd_key_prefix=/x", "etcdKeyPrefix", "/x/"],
    ["data_dir=/x/", "dataDir", "/x"],
    ["disable_engine=Yes", "disableEngine", true],
    ["metadata=\"region=us-west, disk='ssd'\"", "metadata", { region: "us-west", disk: "'ssd'" }],
    ['metadata="region"="us-west", "a" = "b,c"', "metadata", { region: "us-west", a: "b,c" }],
    ["metadata=a=1,a=2,", "metadata", { a: "2" }],
    ["metadata=__proto__=x", "metadata", Object.fromEntries([["__proto__", "x"]])],
    ["listen_api=/run/x.sock,http://LOCALHOST:80/", "listenApi", ["unix:///run/x.sock", "http://localhost:80"]],
    ['initial_cluster=["10.0.0.1", "[FD00:0::1]:9"]', "initialCluster", ["10.0.0.1:2380", "[fd00::1]:9"]],
    ["initial_cluster=[fd00::1]:1,host-2.example:3", "initialCluster", ["[fd00::1]:1", "host-2.example:3"]],
    ["initial_cluster=[10.0.0.1, 10.0.0.2]", "initialCluster", ["10.0.0.1:2380", "10.0.0.2:2380"]],
    ["public_ip=[fd00::0:1]", "publicIp", "fd00::1"],
    ["etcd_servers=[]", "etcdServers", []],
    [
      'etcd_servers=["http://127.0.0.1:2379","http://127.0.0.1:4001"]',
      "etcdServers",
      ["http://127.0.0.1:2379", "http://127.0.0.1:4001"],
    ],
    [
      "etcd_servers=HTTPS://Etcd.Example:2379/, http://[FD00::01]:1",
      "etcdServers",
      ["https://etcd.example:2379", "http://[fd00::1]:1"],
    ],
    ["systemd_user=false", "systemdUser", false],
  ];
  for (const [line, field, value] of cases) {
    test(line, () => expect(load({ file: line }).config[field] as unknown).toEqual(value));
  }
});

describe("warnings", () => {
  test("an unknown option is named with its line and a suggestion", () => {
    expect(load({ file: "\nmetdata=a=b\nxyzzy=1" }).warnings).toEqual([
      `Unknown option "metdata" in "${DEFAULT_CONFIG_PATH}" line 2 is left out. Did you mean "metadata"?`,
      `Unknown option "xyzzy" in "${DEFAULT_CONFIG_PATH}" line 3 is left out`,
    ]);
  });
  test("so is a variable that is nearly one of ours, and no other", () => {
    expect(load({ env: { FLT_AGENT_TLL: "4s", FLEET_MACHINES_UP: "1", FLTCTL_ENDPOINT: "x" } }).warnings).toEqual([
      'Unknown option in environment variable FLT_AGENT_TLL is left out. Did you mean "FLT_AGENT_TTL"?',
    ]);
  });
  test("an API or a peer port that strangers may reach", () => {
    expect(load({ file: "listen_api=http://0.0.0.0:8080" }).warnings[0]).toContain("on every interface");
    expect(load({ file: "listen_api=http://10.0.0.1:8080" }).warnings[0]).toContain("on the network");
    expect(load({ file: "listen_peer=0.0.0.0:2380" }).warnings[0]).toContain("on every interface");
    expect(load({ file: "listen_api=http://127.0.0.1:8080,http://[::1]:1" }).warnings).toEqual([]);
  });
});

describe("systemd_user: the user's own places are the defaults", () => {
  const XDG = { XDG_RUNTIME_DIR: "/run/user/1000", XDG_DATA_HOME: "/data/", XDG_CONFIG_HOME: "relative" };
  const own = "/home/alice/.config/flt/flt.conf";
  test("with the XDG variables, and without", () => {
    expect(load({ env: { ...XDG, FLT_SYSTEMD_USER: "true" }, user: ALICE }).config).toMatchObject({
      systemdUser: true,
      dataDir: "/data/flt",
      listenApi: ["unix:///run/user/1000/flt.sock"],
      unitsDirectory: "/run/user/1000/flt/units",
      initialCluster: [],
    });
    expect(load({ argv: ["--systemd-user"], user: ALICE }).config).toMatchObject({
      dataDir: "/home/alice/.local/share/flt",
      listenApi: ["unix:///run/user/1000/flt.sock"],
    });
  });
  test("what is set wins over them", () => {
    const { config } = load({ argv: ["--systemd-user", "--data-dir=/x"], user: ALICE });
    expect(config.dataDir).toBe("/x");
  });
  test("the host's file is not read, the user's is", () => {
    const file = { [DEFAULT_CONFIG_PATH]: "initial_cluster=10.0.0.1", [own]: "verbosity=1" };
    const { config, path } = load({ argv: ["--systemd-user"], env: XDG, file, user: ALICE });
    expect([config.verbosity, config.initialCluster, path]).toEqual([1, [], own]);
  });
  test("an ordinary user's file is the first choice, and may say it itself; root's is not looked for", () => {
    const file = { [own]: "systemd_user=true", "/root/.config/flt/flt.conf": "verbosity=2" };
    const { config, path } = load({ file, user: ALICE });
    expect([config.dataDir, path]).toEqual(["/home/alice/.local/share/flt", own]);
    const host = { [DEFAULT_CONFIG_PATH]: "initial_cluster=10.0.0.1" };
    expect(load({ file: { ...file, ...host }, user: ALICE })).toMatchObject({
      config: { systemdUser: true, initialCluster: [] },
      path: own,
    });
    expect(load({ file: { ...file, ...host } })).toMatchObject({
      config: { systemdUser: false },
      path: DEFAULT_CONFIG_PATH,
    });
    expect(load({ file: host, user: ALICE }).path).toBe(DEFAULT_CONFIG_PATH);
    expect(load({ file }).path).toBeNull();
  });
  test("a word that is neither true nor false is refused", () => {
    expect(() => load({ argv: ["--systemd-user=perhaps"] })).toThrow("neither true nor false");
  });
});

test("advertise_peer must be in initial_cluster", () => {
  const file = "initial_cluster=10.0.0.1,10.0.0.2\nadvertise_peer=10.0.0.3";
  expect(() => load({ file })).toThrow(
    `Cannot use advertise_peer="10.0.0.3:2380" in "${DEFAULT_CONFIG_PATH}" line 2: it is not in initial_cluster`,
  );
  expect(load({ file, argv: ["--advertise-peer=10.0.0.2"] }).config.advertisePeer).toBe("10.0.0.2:2380");
});

test("examples/flt.conf is made from the table: bun -e 'import { sampleConfigFile } …' writes it anew", async () => {
  const written = await Bun.file(new URL("../../examples/flt.conf", import.meta.url)).text();
  expect(written).toBe(`${sampleConfigFile().trimEnd()}\n`);
});

test("the sample file changes nothing as it is, and can be used with every line taken in", () => {
  const sample = sampleConfigFile();
  expect(load({ file: sample }).config).toEqual(load({}).config);
  const active = sample.replace(/^# (?=[a-z_]+=)/gm, "");
  // One store at a time: flt's own, then an etcd.
  const own = active.replace(/^(?=etcd_(?!key_prefix))/gm, "# ");
  const { config, warnings } = load({ file: own, argv: ["--advertise-peer=10.0.0.1:2380"] });
  expect(warnings).toEqual([]);
  expect(config.agentTtlMs).toBe(30_000);
  const onEtcd = load({ file: active.replace(/^(?=initial_cluster)/gm, "# ") });
  expect(onEtcd.warnings).toEqual([]);
  expect(onEtcd.config.etcdServers).toHaveLength(2);
});

test("the help names every flag and fits a terminal", () => {
  const help = daemonHelp();
  expect(CONFIG_KEYS.filter((key) => !help.includes(flagName(key)))).toEqual([]);
  expect(help.split("\n").filter((line) => line.length > 100)).toEqual([]);
});

test("a refusal stays one short line, however long the value", () => {
  const long = "x".repeat(100_000);
  for (const option of ["data-dir", "listen-api", "metadata", "agent-ttl", "initial-cluster", "log-format", long]) {
    let message = "";
    try {
      load({ argv: [`--${option}=${long}`] });
    } catch (error) {
      message = String(error);
    }
    expect(message).toContain("ConfigError: Cannot use ");
    expect(message.length).toBeLessThan(500);
  }
});
