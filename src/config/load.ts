/**
 * Puts the daemon's configuration together: flags over FLT_ variables over FLEET_ variables over the file over defaults.
 *
 * Idea. Each option is looked for in each place once, and read by its kind; whatever is wrong names the place. The same
 * call serves the start and a reload: it reads nothing but what is handed in.
 *
 * Invariant. Either all of it can be used, or ConfigError is thrown and nothing came of it.
 *
 * Not here. Which options go together (together.ts); what the host has to be asked for: public_ip, listen_peer and
 * advertise_peer are null when not set (daemon/).
 *
 * @module
 */
import { didYouMean, nearestWord } from "../lib/suggest.ts";
import { shortened } from "../lib/text.ts";
import { parseArguments } from "./arguments.ts";
import { ConfigError } from "./config-error.ts";
import { parseConfigFile } from "./file.ts";
import type { Source, Sources } from "./source.ts";
import {
  CONFIG_FIELDS,
  CONFIG_KEYS,
  CONFIG_OPTIONS,
  type ConfigField,
  type ConfigOption,
  type FltConfig,
  fieldOfKey,
  flagName,
} from "./table.ts";
import { checkTogether } from "./together.ts";
import { inUserPlaces, type User, userConfigPath } from "./user-places.ts";
import { ValueError } from "./value-error.ts";
import { SWITCH } from "./values.ts";

export interface LoadRequest {
  /** What follows the program's name and `daemon`. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The text of a file; null when there is none. Throws when it is there and cannot be read. */
  readonly readFile: (path: string) => string | null;
  /** Whether any user of this host can read the file. Default: not. */
  readonly isPublic?: (path: string) => boolean;
  /** Base name that the program was called by: "flt", "fltd" or "fleetd". */
  readonly argv0Name: string;
  /** Whose daemon it is. */
  readonly user: User;
}

export interface LoadedConfig {
  readonly config: FltConfig;
  /** One sentence each, for the log. */
  readonly warnings: readonly string[];
  /** Of the options in the file that there are not: a start leaves them out with a warning, a reload refuses the file (reload.ts). */
  readonly unknown: readonly UnknownOption[];
  readonly sources: Sources;
  /** The file that was read; null when there was none. */
  readonly path: string | null;
}

export interface UnknownOption {
  /** File and line. */
  readonly where: string;
  /** Quoted, as it was written. */
  readonly key: string;
  /** `. Did you mean "x"?`, or nothing. */
  readonly advice: string;
}

export const DEFAULT_CONFIG_PATH = "/etc/flt/flt.conf";
export const FLEET_CONFIG_PATH = "/etc/fleet/fleet.conf";

const ENVIRONMENT_PREFIXES = ["FLT_", "FLEET_"] as const;

interface Found {
  readonly text: string;
  readonly source: Source;
}

/** Throws ConfigError for the first thing that cannot be used. */
export function loadConfig(request: LoadRequest): LoadedConfig {
  const args = parseArguments(request.argv);
  const warnings: string[] = [];
  const environment = readEnvironment(request.env, warnings);
  const told = (field: ConfigField): Found | undefined => {
    const flag = args.flags.get(field);
    return flag === undefined ? environment.get(field) : fromFlag(field, flag);
  };
  const file = readConfigFile(request, configPaths(request, args.configPath, told("systemdUser")));
  warnings.push(
    ...file.unknown.map(({ where, key, advice }) => `Unknown option ${key} in ${where} is left out${advice}`),
  );
  const find = (field: ConfigField): Found | undefined => told(field) ?? file.entries.get(field);
  const isUser = isOn(find("systemdUser"));
  const values: Partial<Record<ConfigField, unknown>> = {};
  const sources: Partial<Record<ConfigField, Source>> = {};
  for (const field of CONFIG_FIELDS) {
    const found = find(field) ?? fromDefault(field, request, isUser);
    values[field] = readValue(field, found, warnings);
    sources[field] = found.source;
  }
  // The loop above has set each field with the value of its own kind.
  const config = values as FltConfig;
  const complete = sources as Sources;
  checkTogether(config, complete, warnings);
  warnings.push(...publicSecrets(request, complete, file.path));
  return { config, warnings, unknown: file.unknown, sources: complete, path: file.path };
}

/** A file of the host stays readable for the daemons of its users, which need their own when it is closed to them. */
function publicSecrets(request: LoadRequest, sources: Sources, path: string | null): string[] {
  if (path === null || request.isPublic?.(path) !== true) return [];
  const { env, user } = request;
  const own = userConfigPath(env, user);
  const isOurs = user.uid === 0 || path === own;
  const advice = isOurs
    ? `chmod 600 ${path}`
    : `give this daemon a file of its own, ${own}, and as root: chmod 600 ${path}`;
  return CONFIG_FIELDS.filter((field) => {
    const { secret }: ConfigOption<unknown> = CONFIG_OPTIONS[field];
    return secret === true && sources[field].kind === "file";
  }).map(
    (field) => `Every user of this host can read ${CONFIG_OPTIONS[field].key} in ${sources[field].where}: ${advice}`,
  );
}

/** What cannot be read is refused in its turn, with all the others. */
function isOn(found: Found | undefined): boolean {
  if (found === undefined) return false;
  try {
    return SWITCH.parse(found.text.trim());
  } catch (error) {
    if (error instanceof ValueError) return false;
    throw error;
  }
}

interface ConfigPaths {
  /** The first one that is there is read, and no other. */
  readonly candidates: readonly string[];
  readonly required: boolean;
}

/** A user's own daemon has nothing to do with the host's file: that one names the host's cluster. */
function configPaths(request: LoadRequest, wanted: string | undefined, systemdUser: Found | undefined): ConfigPaths {
  if (wanted !== undefined) return { candidates: [wanted], required: true };
  const own = userConfigPath(request.env, request.user);
  if (isOn(systemdUser)) return { candidates: [own], required: false };
  const system = request.argv0Name === "fleetd" ? FLEET_CONFIG_PATH : DEFAULT_CONFIG_PATH;
  // A file of one's own is meant by whoever wrote it, also on a host that has one: without it the host's counts.
  return { candidates: request.user.uid === 0 ? [system] : [own, system], required: false };
}

function fromFlag(field: ConfigField, text: string): Found {
  return { text, source: { kind: "flag", where: `flag ${flagName(CONFIG_OPTIONS[field].key)}` } };
}

function fromDefault(field: ConfigField, request: LoadRequest, isUser: boolean): Found {
  const option: ConfigOption<unknown> = CONFIG_OPTIONS[field];
  const source: Source = { kind: "default", where: "the default" };
  if (isUser && option.userDefault !== undefined) {
    return { text: inUserPlaces(option.userDefault, request.env, request.user), source };
  }
  return { text: (request.argv0Name === "fleetd" ? option.fleetDefault : undefined) ?? option.default, source };
}

interface ConfigFile {
  readonly path: string | null;
  readonly entries: ReadonlyMap<ConfigField, Found>;
  readonly unknown: readonly UnknownOption[];
}

function readConfigFile(request: LoadRequest, { candidates, required }: ConfigPaths): ConfigFile {
  const entries = new Map<ConfigField, Found>();
  const unknown: UnknownOption[] = [];
  for (const path of candidates) {
    const text = readText(request, path);
    if (text === null) {
      if (!required) continue;
      throw new ConfigError(`Cannot read configuration file ${JSON.stringify(path)}: there is no such file`);
    }
    for (const { key, value, line } of parseConfigFile(path, text)) {
      const where = `${JSON.stringify(path)} line ${line}`;
      const field = fieldOfKey(key);
      if (field === undefined) {
        unknown.push({ where, key: JSON.stringify(shortened(key)), advice: didYouMean(key, CONFIG_KEYS) });
      } else {
        entries.set(field, { text: value, source: { kind: "file", where } });
      }
    }
    return { path, entries, unknown };
  }
  return { path: null, entries, unknown };
}

function readText(request: LoadRequest, path: string): string | null {
  try {
    return request.readFile(path);
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    const reason = said.startsWith("EISDIR") ? "it is a directory" : said;
    const advice = said.startsWith("EACCES") ? elsewhere(request, path) : "";
    throw new ConfigError(`Cannot read configuration file ${JSON.stringify(path)}: ${reason}${advice}`);
  }
}

/** What a user's own daemon can do about a file of the host that is closed to it. */
function elsewhere({ env, user }: LoadRequest, path: string): string {
  const own = userConfigPath(env, user);
  return user.uid === 0 || path === own
    ? ""
    : `. A daemon of your own reads ${own} instead, with systemd_user=true in it`;
}

/** An empty variable counts as unset: unit files cannot take one away otherwise. */
function readEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  warnings: string[],
): ReadonlyMap<ConfigField, Found> {
  const entries = new Map<ConfigField, Found>();
  for (const prefix of ENVIRONMENT_PREFIXES) {
    for (const [name, text] of Object.entries(env)) {
      if (!name.startsWith(prefix) || text === undefined || text === "") {
        continue;
      }
      const key = name.slice(prefix.length).toLowerCase();
      const field = fieldOfKey(key);
      const where = `environment variable ${name}`;
      if (field !== undefined && name === name.toUpperCase()) {
        if (!entries.has(field)) {
          entries.set(field, { text, source: { kind: "environment", where } });
        }
      } else if (nearestWord(key, CONFIG_KEYS) !== undefined) {
        const names = CONFIG_KEYS.map((known) => prefix + known.toUpperCase());
        warnings.push(`Unknown option in ${where} is left out${didYouMean(name, names)}`);
      }
    }
  }
  return entries;
}

function readValue(field: ConfigField, { text, source }: Found, warnings: string[]): unknown {
  const option: ConfigOption<unknown> = CONFIG_OPTIONS[field];
  const written = text.trim();
  const shown = option.secret ? option.key : `${option.key}=${JSON.stringify(shortened(withoutPasswords(written)))}`;
  let value: unknown;
  try {
    value = option.kind.parse(written);
  } catch (error) {
    if (error instanceof ValueError) {
      throw new ConfigError(`Cannot use ${shown} in ${source.where}: ${error.message}`);
    }
    throw error;
  }
  if (source.kind === "default") {
    return value;
  }
  if (option.effect.kind === "ignored") {
    warnings.push(`Option ${JSON.stringify(option.key)} in ${source.where} has no effect: ${option.effect.why}`);
  }
  return value;
}

/** Addresses may carry one where none belongs; messages end up in logs. */
function withoutPasswords(text: string): string {
  return text.replace(/(:\/\/)[^/,"]*@/g, "$1…@");
}
