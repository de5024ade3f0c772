/**
 * Packs flt for Debian: dist/flt_VERSION_ARCH.deb, with nothing but dpkg-deb.
 *
 * Idea. The files are those of `flt install` in the places of a package, and the rest of what Debian wants. All that could differ
 * from one run to the next is fixed: the time is that of the last commit (or SOURCE_DATE_EPOCH), owners are root, modes are
 * set and not inherited, and dpkg-deb sorts.
 * Invariant. The same tree gives the same bytes.
 *
 * Usage: scripts/package [--version=VERSION] [--output=FOLDER] [--level=1…9] [--lint]
 *
 * @module
 */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, resolve } from "node:path";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { COMMANDS } from "../../src/cli/commands/index.ts";
import { executableFile, PACKAGE_LAYOUT, textFiles } from "../../src/cli/install/files.ts";
import { encodeText } from "../../src/lib/text.ts";
import { VERSION } from "../../src/lib/version.ts";
import { buildExecutable } from "../build.ts";
import {
  architecture,
  checksums,
  conffiles,
  controlFile,
  debianChangelog,
  glibcVersion,
  maintainer,
  type PackedFile,
} from "./control.ts";
import { copyrightFile } from "./copyright.ts";

const ROOT = `${import.meta.dir}/../..`;
const DOC = "usr/share/doc/flt";

function must(command: readonly string[], env: Readonly<Record<string, string>> = {}): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...command], { cwd: ROOT, env: { ...process.env, ...env } });
  if (exitCode !== 0) throw new Error(`Run "${command.join(" ")}": exit code ${exitCode}\n${stderr.toString()}`);
  return stdout.toString();
}

function commitSeconds(): string {
  try {
    return must(["git", "log", "-1", "--format=%ct"]).trim();
  } catch (error) {
    throw new Error("Find the time of the last commit: git does not tell; set SOURCE_DATE_EPOCH", { cause: error });
  }
}

function epochSeconds(): number {
  const given = process.env.SOURCE_DATE_EPOCH ?? commitSeconds();
  if (!/^\d+$/.test(given)) throw new Error(`Use SOURCE_DATE_EPOCH=${given}: it is no number of seconds`);
  return Number(given);
}

function packed(path: string, content: Uint8Array | string, mode = 0o644): PackedFile {
  return { path, mode, content: typeof content === "string" ? encodeText(content) : content };
}

function zipped(path: string, content: string): PackedFile {
  return packed(`${path}.gz`, gzipSync(encodeText(content), { level: 9 }));
}

async function allFiles(executable: Uint8Array, version: string, epoch: number): Promise<PackedFile[]> {
  const author = maintainer(process.env);
  const installed = [executableFile(PACKAGE_LAYOUT, executable), ...textFiles(PACKAGE_LAYOUT, COMMANDS, version)];
  const examples = readdirSync(`${ROOT}/examples`).map((name) =>
    packed(`${DOC}/examples/${name}`, readFileSync(`${ROOT}/examples/${name}`)),
  );
  return [
    ...installed.map(({ path, content, mode }) => packed(path.slice(1), content, mode)),
    ...examples,
    packed(`${DOC}/copyright`, await copyrightFile()),
    zipped(`${DOC}/changelog`, debianChangelog(version, author, epoch)),
    zipped(`${DOC}/NEWS.md`, readFileSync(`${ROOT}/CHANGELOG.md`, "utf8")),
    packed("usr/share/lintian/overrides/flt", readFileSync(`${import.meta.dir}/lintian-overrides`)),
  ].sort((left, right) => (left.path < right.path ? -1 : 1));
}

function controlFiles(files: readonly PackedFile[], executable: Uint8Array, version: string): PackedFile[] {
  const scripts = ["postinst", "prerm", "postrm"].map((name) =>
    packed(`DEBIAN/${name}`, readFileSync(`${import.meta.dir}/maintainer/${name}`), 0o755),
  );
  return [
    packed("DEBIAN/control", controlFile(version, files, glibcVersion(executable), maintainer(process.env))),
    packed("DEBIAN/conffiles", conffiles(files)),
    packed("DEBIAN/md5sums", checksums(files)),
    ...scripts,
  ];
}

/** Writes the tree that dpkg-deb packs; times and modes last, since each file changes its folder. */
function writeTree(folder: string, files: readonly PackedFile[], epoch: number): void {
  const folders = new Set<string>([folder]);
  for (const { path, content } of files) {
    const full = `${folder}/${path}`;
    mkdirSync(dirname(full), { recursive: true });
    for (let each = dirname(full); each !== folder; each = dirname(each)) folders.add(each);
    writeFileSync(full, content);
  }
  for (const { path, mode } of files) {
    chmodSync(`${folder}/${path}`, mode);
    utimesSync(`${folder}/${path}`, epoch, epoch);
  }
  for (const each of folders) {
    chmodSync(each, 0o755);
    utimesSync(each, epoch, epoch);
  }
}

async function pack(version: string, output: string, level: string): Promise<string> {
  const epoch = epochSeconds();
  const build = version === VERSION ? "dist" : `dist/versions/${version}`;
  await buildExecutable(build, version);
  const executable = readFileSync(`${ROOT}/${build}/flt`);
  const files = await allFiles(executable, version, epoch);
  const tree = mkdtempSync(`${tmpdir()}/flt-deb-`);
  const target = `${output}/flt_${version}_${architecture()}.deb`;
  try {
    writeTree(tree, [...files, ...controlFiles(files, executable, version)], epoch);
    mkdirSync(output, { recursive: true });
    const command = ["dpkg-deb", "--root-owner-group", "-Zxz", `-z${level}`, "--build", tree, target];
    must(command, { SOURCE_DATE_EPOCH: `${epoch}` });
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
  return target;
}

/** Shows what lintian has to say; an error of it is one of ours. */
function lint(path: string): void {
  if (!existsSync("/usr/bin/lintian")) throw new Error("Run lintian: it is not installed; run scripts/setup");
  const command = ["lintian", "--allow-root", "--fail-on", "error", "--tag-display-limit", "0", path];
  const { exitCode } = Bun.spawnSync(command, { stdout: "inherit", stderr: "inherit" });
  if (exitCode !== 0) throw new Error(`Run lintian on ${path}: it has found errors`);
}

const { values } = parseArgs({
  options: {
    version: { type: "string", default: VERSION },
    output: { type: "string", default: `${ROOT}/dist` },
    /** xz's: 1 takes 8 s and 46 MB, 6 takes 40 s and 41 MB. */
    level: { type: "string", default: "1" },
    lint: { type: "boolean", default: false },
  },
});
const path = resolve(await pack(values.version, values.output, values.level));
if (values.lint) lint(path);
console.log(path);
