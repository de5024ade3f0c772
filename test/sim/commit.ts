/**
 * Which text a simulation ran on, for whoever is to run its seed again.
 *
 * @module
 */

/** Abbreviated, and marked where files were changed since. */
export function commit(): string {
  const { stdout } = Bun.spawnSync(["git", "describe", "--always", "--dirty", "--exclude=*"], { cwd: import.meta.dir });
  return stdout.toString().trim() || "unknown";
}
