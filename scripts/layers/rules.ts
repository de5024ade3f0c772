/**
 * The rules of the tree: which room may import which, which package lives where, and what a file may not contain.
 *
 * Idea. The import table is data, one row a room; a file's room is the longest row that its path begins with. Each rule is a
 * function from a file's scan to complaints, so that the tests feed it source in memory.
 *
 * Not here. Walking the disk, printing (main.ts); reading source (scan.ts).
 *
 * @module
 */
import { functionsOf, type ImportSite, lineAt, type Scan } from "./scan.ts";

export interface Complaint {
  readonly path: string;
  readonly line: number;
  readonly message: string;
}

export interface SourceFile {
  readonly path: string;
  readonly source: string;
  readonly scan: Scan;
}

interface Room {
  /** Path prefix of its files; the longest one wins. */
  readonly path: string;
  /** Prefixes and doors that it may import beside itself. */
  readonly imports: readonly string[];
  /** The same, but only for types. */
  readonly types?: readonly string[];
  readonly packages?: readonly string[];
  /** May it touch clocks, chance, sockets, files and processes? */
  readonly effects?: boolean;
  /** Must it be synchronous? */
  readonly sync?: boolean;
}

const KV = "src/store/kv.ts";
const ANY_SRC = ["src/", "raft/types.ts"];

/** Rooms whose code nobody else may enter; `src/` below means all but these. */
const SECLUDED = ["src/cli/", "src/main.ts"];

/** The rooms of src/ARCHITECTURE.md, with what each may import. Rooms that are missing here are refused. */
export const ROOMS: readonly Room[] = [
  { path: "raft/types.ts", imports: [] },
  { path: "raft/assert.ts", imports: [] },
  { path: "raft/index.ts", imports: ["raft/types.ts", "raft/assert.ts", "raft/core/", "raft/driver/"] },
  { path: "raft/core/", imports: ["raft/types.ts", "raft/assert.ts"], sync: true },
  { path: "raft/driver/", imports: ["raft/types.ts", "raft/assert.ts", "raft/core/"] },
  {
    path: "raft/adapters/",
    imports: ["raft/types.ts", "raft/assert.ts", "raft/driver/"],
    packages: ["bun:sqlite", "node:net", "node:tls"],
    effects: true,
  },
  { path: "src/lib/", imports: [] },
  { path: "src/lib/ordered-map.ts", imports: [], packages: ["sorted-btree"] },
  { path: "src/model/", imports: ["src/lib/"], packages: ["valibot"], sync: true },
  { path: "src/store/", imports: ["src/lib/"], sync: true },
  { path: "src/config/", imports: ["src/lib/"], packages: ["ini"] },
  { path: "src/replica/", imports: ["src/store/", "#raft", "src/lib/"] },
  // Messages that remote/ speaks as a client and api/etcd/ as a server.
  { path: "src/etcd-proto/", imports: [], packages: ["@bufbuild/protobuf"] },
  {
    path: "src/remote/",
    imports: [KV, "src/lib/", "src/etcd-proto/"],
    packages: ["@bufbuild/protobuf", "node:http2"],
    effects: true,
  },
  { path: "src/registry/", imports: ["src/model/", KV, "src/lib/"] },
  { path: "src/engine/", imports: ["src/registry/", "src/model/", "src/lib/"] },
  { path: "src/engine/plan.ts", imports: ["src/engine/", "src/registry/", "src/model/", "src/lib/"], sync: true },
  { path: "src/engine/schedule.ts", imports: ["src/engine/", "src/registry/", "src/model/", "src/lib/"], sync: true },
  { path: "src/agent/", imports: ["src/registry/", "src/model/", "src/lib/"] },
  { path: "src/agent/plan.ts", imports: ["src/agent/", "src/registry/", "src/model/", "src/lib/"], sync: true },
  {
    path: "src/agent/systemd/",
    imports: ["src/agent/", "src/registry/", "src/model/", "src/lib/"],
    packages: ["dbus-next"],
    effects: true,
  },
  {
    path: "src/api/fleet/",
    imports: ["src/registry/", "src/model/", "src/lib/"],
    packages: ["valibot", "@valibot/to-json-schema"],
  },
  {
    path: "src/api/etcd/",
    imports: [KV, "src/lib/", "src/etcd-proto/"],
    packages: ["valibot", "@bufbuild/protobuf"],
  },
  { path: "src/client/", imports: ["src/model/", "src/lib/"] },
  {
    path: "src/cli/",
    imports: ["src/client/", "src/config/", "src/model/", "src/lib/"],
    packages: ["cac"],
    effects: true,
  },
  {
    path: "src/cli/install/",
    imports: ["src/cli/", "src/config/", "src/lib/", "examples/"],
    effects: true,
  },
  { path: "src/cli/ssh/", imports: ["src/cli/", "src/client/", "src/lib/"], packages: ["node:net"], effects: true },
  {
    path: "src/platform/",
    imports: ["src/lib/"],
    types: [...ANY_SRC, "#raft"],
    packages: ["node:http", "node:net", "node:tls", "prom-client"],
    effects: true,
  },
  { path: "src/daemon/", imports: ["src/", "#raft", "#raft/adapters"], effects: true },
  { path: "src/main.ts", imports: ["src/cli/", "src/daemon/", "src/lib/"], effects: true },
  {
    path: "scripts/",
    imports: ["src/", "src/cli/", "raft/", "#raft", "#raft/adapters", "test/"],
    packages: ["*"],
    effects: true,
  },
  {
    path: "test/",
    imports: ["src/", ...SECLUDED, "raft/", "#raft", "#raft/adapters", "scripts/"],
    packages: ["*"],
    effects: true,
  },
];

/** Built-in modules without effects: anybody may compute. */
const PURE_BUILTINS = new Set([
  "node:assert",
  "node:buffer",
  "node:crypto",
  "node:path",
  "node:url",
  "node:util",
  "node:zlib",
]);
/** Built-in modules with a room of their own, listed in `packages`; the others belong to every room with effects. */
const HOUSED_BUILTINS = new Set([
  "bun:sqlite",
  "node:net",
  "node:tls",
  "node:http",
  "node:https",
  "node:http2",
  "node:dgram",
]);

/** Words that reach for time, chance, sockets, files or processes. */
const EFFECTS: readonly (readonly [RegExp, string])[] = [
  [/(?<![.\w#$])(?:new\s+Date\b|Date\s*[.(])/g, "Date"],
  [/\bMath\.random\b/g, "Math.random"],
  [/(?<![.\w#$])(?:setTimeout|setInterval|setImmediate)\b/g, "a timer"],
  [/(?<![.\w#$])performance\s*\./g, "performance"],
  [/(?<![.\w#$])process\s*\./g, "process"],
  [/(?<![.\w#$])Bun\.(?!hash\b|CryptoHasher\b|SHA\w*\b|deepEquals\b|concatArrayBuffers\b|stringWidth\b)/g, "Bun"],
  [/(?:\bawait|\breturn|[=(,]|=>)\s*fetch\s*\(/g, "fetch"],
  [/\b(?:randomUUID|randomBytes|randomInt|getRandomValues)\b/g, "randomness"],
  [/(?<![.\w#$])new\s+(?:WebSocket|Worker)\b/g, "a socket or a worker"],
  [/(?<![.\w#$])console\s*\./g, "console"],
];

const FILE_LINES_MAX = 400;
/** A table of cases may be longer than code that must be understood. */
const TEST_FILE_LINES_MAX = 600;
const FUNCTION_LINES_MAX = 70;

/** Files that may be asynchronous in a synchronous room, each with its reason. */
const ASYNC_EXCEPTIONS: Readonly<Record<string, string>> = {
  "src/store/local-kv.ts": "the Kv port is asynchronous; this adapter only wraps",
};

/** Functions that are longer than allowed, with the length that they must not exceed. Only ever shorten this list. */
const LONG_FUNCTIONS: Readonly<Record<string, number>> = {};

export function isTest(path: string): boolean {
  return path.endsWith(".test.ts") || path.endsWith(".host.ts");
}

/** Made by a program (scripts/etcd-proto): its shape is that program's. */
function isGenerated(path: string): boolean {
  return path.endsWith("_pb.ts");
}

export function roomOf(path: string): Room | undefined {
  let best: Room | undefined;
  for (const room of ROOMS) {
    if (path.startsWith(room.path) && room.path.length > (best?.path.length ?? -1)) {
      best = room;
    }
  }
  return best;
}

/** Normalizes `./x.ts` seen from a file to a path of the tree; other specifiers are returned as they are. */
export function resolveImport(from: string, specifier: string): string {
  if (!specifier.startsWith(".")) {
    return specifier;
  }
  const parts = from.split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === "..") {
      parts.pop();
    } else if (part !== ".") {
      parts.push(part);
    }
  }
  return parts.join("/");
}

function isAllowed(target: string, allowed: readonly string[]): boolean {
  return allowed.some((prefix) => {
    if (prefix === "src/" && SECLUDED.some((secluded) => target.startsWith(secluded))) {
      return false;
    }
    return prefix.endsWith("/") ? target.startsWith(prefix) : target === prefix;
  });
}

function packageName(specifier: string): string {
  const parts = specifier.split("/");
  return specifier.startsWith("@") ? parts.slice(0, 2).join("/") : (parts[0] ?? specifier);
}

function packageComplaint(room: Room, specifier: string): string | undefined {
  const packages = room.packages ?? [];
  const builtin = specifier.startsWith("node:") || specifier.startsWith("bun:") || specifier === "bun";
  const name = builtin ? specifier : packageName(specifier);
  if (packages.includes("*") || packages.includes(name)) {
    return undefined;
  }
  if (builtin && PURE_BUILTINS.has(name)) {
    return undefined;
  }
  if (builtin && room.effects === true && !HOUSED_BUILTINS.has(name)) {
    return undefined;
  }
  return `room ${room.path} may not use package "${name}"`;
}

function importComplaint(file: SourceFile, room: Room, site: ImportSite): string | undefined {
  const target = resolveImport(file.path, site.specifier);
  const inTree = site.specifier.startsWith(".") || site.specifier.startsWith("#");
  if (!inTree) {
    return packageComplaint(room, site.specifier);
  }
  if (site.specifier.startsWith(".") && !/\.(?:ts|json|service|socket|conf)$/.test(target)) {
    return `import of "${site.specifier}" does not name its file's suffix`;
  }
  const own = room.path.endsWith("/") ? room.path : undefined;
  if (own !== undefined && target.startsWith(own) && roomOf(target)?.path.startsWith(own)) {
    return undefined;
  }
  if (isAllowed(target, room.imports) || (site.typeOnly && isAllowed(target, room.types ?? []))) {
    return undefined;
  }
  return `room ${room.path} may not import ${target}${site.typeOnly ? " (not even types)" : ""}`;
}

/** Layers and packages of one file. */
export function checkImports(file: SourceFile): Complaint[] {
  const room = roomOf(file.path);
  if (room === undefined) {
    return [{ path: file.path, line: 1, message: "the file is in no room of src/ARCHITECTURE.md" }];
  }
  if (isTest(file.path)) {
    return [];
  }
  const complaints: Complaint[] = [];
  for (const site of file.scan.imports) {
    const message = importComplaint(file, room, site);
    if (message !== undefined) {
      complaints.push({ path: file.path, line: site.line, message });
    }
  }
  return complaints;
}

/** Effects outside the rooms for them, and asynchrony in the synchronous ones. */
export function checkWords(file: SourceFile): Complaint[] {
  const room = roomOf(file.path);
  if (room === undefined || isTest(file.path)) {
    return [];
  }
  const complaints: Complaint[] = [];
  const complain = (index: number, message: string): void => {
    complaints.push({ path: file.path, line: lineAt(file.scan.code, index), message });
  };
  if (room.effects !== true) {
    for (const [pattern, what] of EFFECTS) {
      for (const match of file.scan.code.matchAll(pattern)) {
        complain(match.index, `room ${room.path} may not use ${what}: take a port`);
      }
    }
  }
  if (room.sync === true && ASYNC_EXCEPTIONS[file.path] === undefined) {
    for (const match of file.scan.code.matchAll(/\b(?:async|await)\b/g)) {
      complain(match.index, `room ${room.path} is synchronous: no ${match[0]}`);
    }
  }
  return complaints;
}

/** Header, length of the file and of its functions. */
export function checkShape(file: SourceFile): Complaint[] {
  if (isGenerated(file.path)) return [];
  const complaints: Complaint[] = [];
  const lines = file.source.split("\n").length - 1;
  const linesMax = isTest(file.path) ? TEST_FILE_LINES_MAX : FILE_LINES_MAX;
  if (lines > linesMax) {
    complaints.push({ path: file.path, line: lines, message: `${lines} lines; at most ${linesMax}: split it` });
  }
  if (isTest(file.path)) {
    return complaints;
  }
  const header = file.source.replace(/^#!.*\n/, "").match(/^\/\*\*[\s\S]*?\*\//)?.[0] ?? "";
  if (!header.includes("@module")) {
    complaints.push({ path: file.path, line: 1, message: "the file does not open with a /** … @module */ header" });
  }
  if (file.path.startsWith("test/")) {
    // A suite is one function that registers many.
    return complaints;
  }
  const allowed = Math.max(LONG_FUNCTIONS[file.path] ?? 0, FUNCTION_LINES_MAX);
  for (const site of functionsOf(file.scan.code)) {
    if (site.lines > allowed) {
      complaints.push({
        path: file.path,
        line: site.line,
        message: `a function of ${site.lines} lines; at most ${allowed}`,
      });
    }
  }
  return complaints;
}

/** Import cycles among files, types included: each is reported once, at the first of its files. */
export function checkCycles(files: readonly SourceFile[]): Complaint[] {
  const edges = new Map<string, string[]>();
  for (const file of files) {
    const targets = file.scan.imports.map((site) => resolveImport(file.path, site.specifier));
    edges.set(file.path, targets);
  }
  const complaints: Complaint[] = [];
  const done = new Set<string>();
  const trail: string[] = [];
  const visit = (path: string): void => {
    const seen = trail.indexOf(path);
    if (seen >= 0) {
      complaints.push({ path, line: 1, message: `import cycle: ${[...trail.slice(seen), path].join(" -> ")}` });
      return;
    }
    if (done.has(path) || !edges.has(path)) {
      return;
    }
    trail.push(path);
    for (const target of edges.get(path) ?? []) {
      visit(target);
    }
    trail.pop();
    done.add(path);
  };
  for (const path of edges.keys()) {
    visit(path);
  }
  return complaints;
}
