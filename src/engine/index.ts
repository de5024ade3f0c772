/**
 * The engine's door for the daemon.
 *
 * @module
 */
export { DEFAULT_ENGINE_CONFIG, Engine, type EngineConfig, type EngineOptions } from "./engine.ts";
export { EngineMetrics } from "./metrics.ts";
export type { MachineProbe, WitnessQuestion } from "./ports.ts";
