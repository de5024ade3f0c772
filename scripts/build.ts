/**
 * Bundles and compiles src/main.ts into dist/flt.
 *
 * Problem. An external module in a compiled binary is looked for in the node_modules of the *working directory*: with
 * `--external usocket` whoever can write a directory that root works in runs code as root. So nothing is external:
 * optional modules that we never use become modules that refuse to load.
 * Idea. ESM with splitting, so that a dynamic import stays lazy and `flt --version` reads none of D-Bus; bytecode, so that
 * what is read needs no parsing; the output name never changes, so that a build repeats byte for byte.
 * Invariants.
 * - Neither `.env` nor `bunfig.toml` of the working directory is read by the result.
 * - Not minified: a crash's log shows readable lines.
 *
 * Usage: scripts/build.ts [FOLDER [VERSION]]. Another version than the tree's is for tests of upgrades.
 *
 * @module
 */
import { mkdir, rename } from "node:fs/promises";
import { VERSION } from "../src/lib/version.ts";

/** dbus-next asks for them: usocket only to pass file descriptors or for abstract sockets, x11 only to find a session bus. */
const NEVER_LOADED = /^(usocket|x11)$/;

export const STUB: Bun.BunPlugin = {
  name: "refuse-optional-modules",
  setup(build) {
    build.onResolve({ filter: NEVER_LOADED }, (args) => ({ path: args.path, namespace: "refused" }));
    build.onLoad({ filter: NEVER_LOADED, namespace: "refused" }, (args) => ({
      contents: `throw new Error("Load module '${args.path}': it is not part of flt");`,
      loader: "js",
    }));
  },
};

function otherVersion(version: string): Bun.BunPlugin {
  return {
    name: "other-version",
    setup(build) {
      build.onLoad({ filter: /\/src\/lib\/version\.ts$/ }, () => ({
        contents: `export const VERSION = ${JSON.stringify(version)};`,
        loader: "ts",
      }));
    },
  };
}

const ROOT = `${import.meta.dir}/..`;

/**
 * Builds `folder`/flt; an earlier one is replaced when the new one is whole.
 *
 * @param more For tests that need another flt than this one.
 */
export async function buildExecutable(
  folder: string,
  version = VERSION,
  ...more: readonly Bun.BunPlugin[]
): Promise<void> {
  process.chdir(ROOT);
  await mkdir(`${folder}/next`, { recursive: true });
  const result = await Bun.build({
    entrypoints: ["src/main.ts"],
    target: "bun",
    format: "esm",
    splitting: true,
    bytecode: true,
    minify: false,
    plugins: [STUB, ...(version === VERSION ? [] : [otherVersion(version)]), ...more],
    compile: { outfile: `${folder}/next/flt`, autoloadDotenv: false, autoloadBunfig: false },
    throw: false,
  });
  for (const message of result.logs) {
    console.error(String(message));
  }
  if (!result.success) {
    throw new Error(`Build ${folder}/flt: the messages above say why it failed`);
  }
  // A running daemon keeps the file it was started from.
  await rename(`${folder}/next/flt`, `${folder}/flt`);
}

if (import.meta.main) {
  const [folder = "dist", version = VERSION] = process.argv.slice(2);
  await buildExecutable(folder, version);
}
