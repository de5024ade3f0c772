/**
 * The agent's door for the daemon. systemd/ has its own (systemd/index.ts), which is imported only where it is needed.
 *
 * @module
 */
export { Agent, type AgentConfig, type AgentOptions, type AgentStatus } from "./agent.ts";
export { type UnitManager, UnitManagerError, type UnitManagerErrorCode } from "./unit-manager.ts";
