/**
 * Which text a simulation ran on, for whoever is to run its seed again.
 *
 * @module
 */

/** Abbreviated, and marked where files were changed since; "unknown" where there is no git, or no repository. */
export function commit(): string {
  const git = Bun.which("git");
  if (git === null) return "unknown";
  const { stdout } = Bun.spawnSync([git, "describe", "--always", "--dirty", "--exclude=*"], { cwd: import.meta.dir });
  return stdout.toString().trim() || "unknown";
}
