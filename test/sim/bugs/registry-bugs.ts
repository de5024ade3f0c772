/**
 * Bugs of registry, engine and agent.
 *
 * @module
 */
import type { Bug } from "./bug.ts";

export const REGISTRY_BUGS: readonly Bug[] = [
  {
    name: "an engine writes without its fence",
    file: "src/registry/engine-session.ts",
    find: "compare: [this.#leadership], success",
    replace: "compare: this.#leadership === null ? [this.#leadership] : [], success",
    seeds: 500,
  },
  {
    name: "a placement does not look whether the unit changed",
    file: "src/registry/engine-session.ts",
    find: "const compare = [unchangedSince(this.#keys.job(name), job.modRevision)];",
    replace: "const compare = [exists(this.#keys.job(name))];",
    seeds: 1200,
  },
  {
    name: "an agent without a schedule takes it for an empty one",
    file: "src/agent/runner.ts",
    find: "#wanted: ReadonlyMap<string, GivenOrder> | null = null;",
    replace: "#wanted: ReadonlyMap<string, GivenOrder> | null = new Map();",
    seeds: 100,
  },
  {
    name: "a unit moves and its old schedule stays",
    file: "src/registry/engine-session.ts",
    find: "if (from !== null && from !== to) success.push(",
    replace: "if (from !== null && from === to) success.push(",
    seeds: 100,
  },
  {
    name: "a fenced unit is started without a look at who reports it",
    file: "src/agent/clearance.ts",
    find: 'if (machineId !== selfId && jobState !== "inactive") {',
    replace: 'if (machineId !== selfId && jobState === "inactive") {',
    seeds: 1000,
  },
];
