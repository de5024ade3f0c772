/**
 * The daemon's command line: `--data-dir /x`, `--data-dir=/x`, `--data_dir=/x`, `--disable-engine`.
 *
 * Idea. Nothing but flags, each with the name of an option; one dash does as well as two, as with fleetd. A flag given
 * twice: the last one counts. Values come out as they were written.
 *
 * @module
 */
import { didYouMean } from "../lib/suggest.ts";
import { shortened } from "../lib/text.ts";
import { ConfigError } from "./config-error.ts";
import { CONFIG_KEYS, CONFIG_OPTIONS, type ConfigField, fieldOfKey, flagName } from "./table.ts";
import { SWITCH } from "./values.ts";

/** Reads the configuration as a reload would, and ends. */
export const CHECK_CONFIG = "--check-config";

export interface DaemonArguments {
  /** `run` unless the command line only asks for information. */
  readonly request: "run" | "check-config" | "help" | "version";
  /** The path given with --config. */
  readonly configPath: string | undefined;
  readonly flags: ReadonlyMap<ConfigField, string>;
}

/** @param argv What follows the program's name and `daemon`. Throws ConfigError. */
export function parseArguments(argv: readonly string[]): DaemonArguments {
  const flags = new Map<ConfigField, string>();
  let configPath: string | undefined;
  let request: DaemonArguments["request"] = "run";
  for (let index = 0; index < argv.length; index++) {
    const word = argv[index] ?? "";
    if (word === "-h" || word === "--help" || word === "-help" || word === "help") {
      return { request: "help", configPath, flags };
    }
    if (word === "--version" || word === "-version" || word === "version") {
      request = "version";
      continue;
    }
    if (word === CHECK_CONFIG) {
      request = "check-config";
      continue;
    }
    const [, name, attached] = /^--?([A-Za-z][\w-]*)(?:=(.*))?$/s.exec(word) ?? [];
    if (name === undefined) {
      throw new ConfigError(`Cannot use argument ${JSON.stringify(shortened(word))}: the daemon takes flags only`);
    }
    const field = fieldOfKey(name);
    if (field === undefined && name !== "config") {
      throw unknownFlag(word, name);
    }
    const isSwitch = field !== undefined && CONFIG_OPTIONS[field].kind === SWITCH;
    let value = attached ?? (isSwitch ? "true" : undefined);
    if (value === undefined) {
      index += 1;
      value = argv[index];
    }
    if (value === undefined || (attached === undefined && value.startsWith("--"))) {
      throw new ConfigError(`Cannot use flag ${word}: it needs a value, as in ${word}=VALUE`);
    }
    if (field === undefined) {
      configPath = value;
    } else {
      flags.set(field, value);
    }
  }
  return { request, configPath, flags };
}

function unknownFlag(word: string, name: string): ConfigError {
  const known = ["config", "check-config", ...CONFIG_KEYS].map((key) => flagName(key).slice(2));
  const advice = didYouMean(name, known, "--") || ". See `flt daemon --help`";
  const shown = JSON.stringify(shortened(word.replace(/=.*$/s, "")));
  return new ConfigError(`Cannot use flag ${shown}: there is no such flag${advice}`);
}
