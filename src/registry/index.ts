/**
 * The registry's door for the daemon, which builds these parts and hands them to engine, agent and API.
 *
 * @module
 */

export { KvAgentRegistry } from "./agent-registry.ts";
export { type Campaign, type ElectionOptions, winElection } from "./election.ts";
export { becomeEngine } from "./engine-session.ts";
export { RegistryGuard, type RegistryMemory } from "./guard.ts";
export { DEFAULT_KEY_PREFIX, Keys } from "./keys.ts";
export { MeasuredKv } from "./measured-kv.ts";
export { editMetadata, RegistryMachines } from "./metadata.ts";
export * from "./types.ts";
export { RegistryUnits } from "./units.ts";
export { RegistryView, type RegistryViewOptions } from "./view.ts";
