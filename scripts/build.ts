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
 * @module
 */
import { mkdir, rename } from "node:fs/promises";

/** dbus-next asks for them: usocket only to pass file descriptors or for abstract sockets, x11 only to find a session bus. */
const NEVER_LOADED = /^(usocket|x11)$/;

const STUB = {
  name: "refuse-optional-modules",
  setup(build: Bun.PluginBuilder): void {
    build.onResolve({ filter: NEVER_LOADED }, (args) => ({ path: args.path, namespace: "refused" }));
    build.onLoad({ filter: NEVER_LOADED, namespace: "refused" }, (args) => ({
      contents: `throw new Error("Load module '${args.path}': it is not part of flt");`,
      loader: "js",
    }));
  },
};

const root = `${import.meta.dir}/..`;
process.chdir(root);
await mkdir("dist/next", { recursive: true });
const result = await Bun.build({
  entrypoints: ["src/main.ts"],
  target: "bun",
  format: "esm",
  splitting: true,
  bytecode: true,
  minify: false,
  plugins: [STUB],
  compile: { outfile: "dist/next/flt", autoloadDotenv: false, autoloadBunfig: false },
});
for (const message of result.logs) {
  console.error(String(message));
}
if (!result.success) {
  process.exit(1);
}
// A running daemon keeps the file it was started from.
await rename("dist/next/flt", "dist/flt");
