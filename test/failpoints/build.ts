/**
 * Compiles the process under test: production's store member with failpoints below and around its LogStorage, or without.
 *
 * Idea. No switch in production code: while the bundle is made, raft/adapters gets other modules in place of SQLite and files, the
 * store member another openSqliteLog, and a few constants are smaller, so that a second's writes fill snapshots and cut the log.
 *
 * Invariants.
 * - Every change of text finds its place exactly once, or the build fails.
 *
 * @module
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { STUB } from "../../scripts/build.ts";

const ROOT = join(import.meta.dir, "../..");
const INJECT = join(import.meta.dir, "inject");

/** What stands in a file of production, and what the test build has there. */
export interface Change {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

const quoted = (module: string) => `"${module}"`;
const instead = (file: string, find: string, module: string): Change => ({
  file,
  find: quoted(find),
  replace: quoted(join(INJECT, module)),
});

export const FAILPOINTS: readonly Change[] = [
  instead("raft/adapters/log-database.ts", "bun:sqlite", "sqlite.ts"),
  instead("raft/adapters/log-database.ts", "node:fs", "files.ts"),
  instead("raft/adapters/sqlite-log.ts", "node:fs", "files.ts"),
  instead("raft/adapters/snapshot-files.ts", "node:fs/promises", "files.ts"),
  instead("raft/adapters/hard-state-reserve.ts", "node:fs", "files.ts"),
  instead("raft/adapters/set-aside.ts", "node:fs", "files.ts"),
  instead("src/daemon/store-member.ts", "#raft/adapters", "log-storage.ts"),
];

export const SMALL: readonly Change[] = [
  ["raft/driver/config.ts", "snapshotLogEntries: 50_000", "snapshotLogEntries: 120"],
  ["raft/driver/config.ts", "trailingEntries: 5000", "trailingEntries: 20"],
  ["raft/adapters/log-database.ts", "WAL_KEEP_BYTES = 16 * 1024 * 1024", "WAL_KEEP_BYTES = 64 * 1024"],
  ["raft/adapters/sqlite-log.ts", "COMPACT_SLICE_ENTRIES = 2000", "COMPACT_SLICE_ENTRIES = 40"],
  ["raft/adapters/snapshot-files.ts", "SYNC_EVERY_BYTES = 4 * 1024 * 1024", "SYNC_EVERY_BYTES = 100 * 1024"],
  ["src/replica/replica-kv.ts", "keepRevisions: 10_000", "keepRevisions: 250"],
  ["src/replica/replica-kv.ts", "keepChanges: 10_000", "keepChanges: 250"],
].map(([file = "", find = "", replace = ""]) => ({ file, find, replace }));

/** @throws Error when the place is not there exactly once. */
export function changed(text: string, { file, find, replace }: Change): string {
  const pieces = text.split(find);
  if (pieces.length !== 2)
    throw new Error(`Change ${file}: "${find}" stands there ${pieces.length - 1} times, not once`);
  return pieces.join(replace);
}

function planting(changes: readonly Change[]): Bun.BunPlugin {
  return {
    name: "failpoints",
    setup(build) {
      for (const file of new Set(changes.map((change) => change.file))) {
        const path = join(ROOT, file);
        const filter = new RegExp(`^${path.replaceAll(/[.+]/g, "\\$&")}$`);
        build.onLoad({ filter }, async () => {
          const text = await Bun.file(path).text();
          const contents = changes.filter((change) => change.file === file).reduce(changed, text);
          return { contents, loader: "ts" };
        });
      }
    },
  };
}

/** @returns The executable's path. */
export async function buildMember(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const outfile = join(folder, "member");
  const result = await Bun.build({
    entrypoints: [join(import.meta.dir, "member.ts")],
    target: "bun",
    format: "esm",
    splitting: true,
    plugins: [STUB, planting([...FAILPOINTS, ...SMALL])],
    compile: { outfile, autoloadDotenv: false, autoloadBunfig: false },
    throw: false,
  });
  if (!result.success) throw new AggregateError(result.logs, `Build ${outfile}: ${result.logs.map(String).join("\n")}`);
  return outfile;
}
