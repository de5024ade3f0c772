/**
 * systemd's door: import it only where a daemon runs (`await import`), it brings dbus-next along.
 *
 * @module
 */
export {
  type DependenciesOptions,
  InspectError,
  JOURNAL_OUTPUTS,
  type JournalOptions,
  unitDependencies,
  unitJournal,
  unitProperties,
  unitStatus,
} from "./inspect.ts";
export { HOST_SCOPE, type SystemdScope, userScope } from "./scope.ts";
export { type StopIntent, type StopIntentOptions, stopIntent } from "./stop-intent.ts";
export { connectSystemd, type SystemdOptions, SystemdUnitManager } from "./systemd-manager.ts";
export { type UsageOptions, usageSamples } from "./usage.ts";
