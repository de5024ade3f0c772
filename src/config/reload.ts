/**
 * What becomes of a daemon's configuration when its file is read again.
 *
 * Idea. The table says of each option whether a running daemon can change it. Those are taken over, the others stay as they were at
 * the start, and whoever asked is told: silence would look like success.
 *
 * Invariant. A file with an option that there is not is refused whole. At a start it is left out with a warning, since a fleet.conf, or one of another
 * release, may hold more than this one knows; in a daemon that runs, the option that was mistyped would fall back to its default, and units move.
 *
 * @module
 */
import { ConfigError } from "./config-error.ts";
import type { LoadedConfig } from "./load.ts";
import { CONFIG_FIELDS, CONFIG_OPTIONS, type ConfigField, type ConfigOption, type FltConfig } from "./table.ts";

export interface ReloadPlan {
  /** What holds from now on. */
  readonly config: FltConfig;
  /** Keys of the options that change. */
  readonly changed: readonly string[];
  /** One sentence for each option that should change and cannot. */
  readonly refusals: readonly string[];
}

/** Throws ConfigError for the first option that there is not. */
export function refuseUnknown({ unknown: [first] }: LoadedConfig): void {
  if (first === undefined) return;
  throw new ConfigError(`Cannot use ${first.key} in ${first.where}: there is no such option${first.advice}`);
}

/** Throws ConfigError. @param now What the daemon runs with. */
export function planReload(now: FltConfig, wanted: LoadedConfig): ReloadPlan {
  refuseUnknown(wanted);
  const values: Record<string, unknown> = { ...now };
  const changed: string[] = [];
  const refusals: string[] = [];
  for (const field of CONFIG_FIELDS) {
    const option: ConfigOption<unknown> = CONFIG_OPTIONS[field];
    if (isSame(now[field], wanted.config[field]) || option.effect.kind !== "active") continue;
    if (isOtherUsersDefault(field, now, wanted)) continue;
    if (option.reloads === true) {
      values[field] = wanted.config[field];
      changed.push(option.key);
    } else {
      refusals.push(refusal(field, now, wanted));
    }
  }
  return { config: values as FltConfig, changed, refusals };
}

/** systemd_user itself is refused; the defaults that came with it are not worth a word. */
function isOtherUsersDefault(field: ConfigField, now: FltConfig, wanted: LoadedConfig): boolean {
  const option: ConfigOption<unknown> = CONFIG_OPTIONS[field];
  const isDefault = wanted.sources[field].kind === "default" && option.userDefault !== undefined;
  return isDefault && now.systemdUser !== wanted.config.systemdUser;
}

function refusal(field: ConfigField, now: FltConfig, wanted: LoadedConfig): string {
  const { key, secret }: ConfigOption<unknown> = CONFIG_OPTIONS[field];
  const { where } = wanted.sources[field];
  const [to, stays] = secret ? ["another one", "as it was"] : [shown(wanted.config[field]), shown(now[field])];
  return (
    `Cannot change ${key} to ${to} (${where}) while the daemon runs: it stays ${stays}. ` +
    "Restart flt to change it; units stay as they are"
  );
}

function shown(value: unknown): string {
  if (value === null || value === "" || (Array.isArray(value) && value.length === 0)) return "unset";
  return JSON.stringify(Array.isArray(value) ? value.join(",") : value);
}

/** Values come from the table's kinds: JSON shows all there is of them. Pairs may be written in another order. */
function isSame(one: unknown, other: unknown): boolean {
  return canonical(one) === canonical(other);
}

function canonical(value: unknown): string {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return JSON.stringify(value);
  return JSON.stringify(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
