import { describe, expect, test } from "bun:test";
import { checkCycles, checkImports, checkShape, checkWords, resolveImport, roomOf, type SourceFile } from "./rules.ts";
import { functionsOf, scan } from "./scan.ts";

function file(path: string, source: string): SourceFile {
  return { path, source, scan: scan(source) };
}

function messages(path: string, source: string): string[] {
  const given = file(path, source);
  return [...checkImports(given), ...checkWords(given)].map(({ line, message }) => `${line}: ${message}`);
}

describe("scan()", () => {
  test("finds every kind of import, with its line", () => {
    const source = [
      `import a from "./a.ts";`,
      `import type { B } from "./b.ts";`,
      `export { c } from "./c.ts";`,
      `export type * from "./d.ts";`,
      `import "./e.ts";`,
      `const f = await import("./f.ts");`,
      `type G = typeof import("./g.ts");`,
      `import {`,
      `  h,`,
      `  type I,`,
      `} from "./h.ts";`,
      `import * as j from '${"./single.ts"}';`,
    ].join("\n");
    expect(scan(source).imports.map(({ specifier, line, typeOnly }) => [specifier, line, typeOnly])).toEqual([
      ["./a.ts", 1, false],
      ["./b.ts", 2, true],
      ["./c.ts", 3, false],
      ["./d.ts", 4, true],
      ["./e.ts", 5, false],
      ["./f.ts", 6, false],
      ["./g.ts", 7, true],
      ["./h.ts", 8, false],
      ["./single.ts", 12, false],
    ]);
  });

  test("sees no imports or words in comments, strings, templates and regular expressions", () => {
    const source = [
      `// import "./a.ts"; Date.now()`,
      `/* import "./b.ts" setTimeout */`,
      `const text = "import \\"./c.ts\\" Math.random";`,
      "const template = `import './d.ts' Date.now() $" + "{kept(`deep Date.now()`)} process.exit`;",
      `const pattern = /["'\`] Date.now() [/"]/g;`,
      `const half = total / 2; const after = "x"; keep / this;`,
    ].join("\n");
    const { code, imports } = scan(source);
    expect(imports).toEqual([]);
    expect(code).not.toMatch(/Date|random|setTimeout|process/);
    expect(code).toContain("kept(");
    expect(code).toContain("keep / this");
    expect(code.length).toBe(source.length);
  });

  test("an export that is no re-export names no module", () => {
    expect(scan(`export const x = "./x.ts";\nexport default "./y.ts";`).imports).toEqual([]);
  });
});

describe("functionsOf()", () => {
  test("measures declarations, methods and arrows, with their return types", () => {
    const source = `function a(x: { y: string }): Promise<{ z: number }> {
  return x;
}
class C {
  #m(f: (n: number) => void): void {
    if (f) {
    }

  }
}
const arrow = (n: number): number => {
  return n;
};
const bare = items.map((item) => item.x);
`;
    expect(functionsOf(source)).toEqual([
      { line: 1, lines: 3 },
      { line: 5, lines: 5 },
      { line: 11, lines: 3 },
    ]);
  });

  test("takes no statement, type or object for a function", () => {
    const source = `if (a) {
}
while (f(b)) {
}
interface P { call(x: number): void; other: { y: string } }
const choice = test ? call(x) : { y: 1 };
for (const x of list(y)) {
}
`;
    expect(functionsOf(source)).toEqual([]);
  });
});

describe("checkImports()", () => {
  test("the longest matching row is a file's room", () => {
    expect(roomOf("src/agent/systemd/bus.ts")?.path).toBe("src/agent/systemd/");
    expect(roomOf("src/agent/plan.ts")?.path).toBe("src/agent/plan.ts");
    expect(resolveImport("src/a/b.ts", "../c/d.ts")).toBe("src/c/d.ts");
  });

  test("refuses a layer that is broken by a type, a re-export or a dynamic import", () => {
    expect(messages("src/model/x.ts", `import type { Kv } from "../store/kv.ts";`)).toEqual([
      "1: room src/model/ may not import src/store/kv.ts (not even types)",
    ]);
    expect(messages("src/lib/x.ts", `export * from "../model/machine.ts";`)).toHaveLength(1);
    expect(messages("src/engine/x.ts", `const agent = import("../agent/agent.ts");`)).toHaveLength(1);
  });

  test("the registry sees the store's port, and nothing behind it", () => {
    expect(messages("src/registry/x.ts", `import { a } from "../store/kv.ts";`)).toEqual([]);
    expect(messages("src/registry/x.ts", `import { a } from "../store/state.ts";`)).toHaveLength(1);
  });

  test("raft is entered by its doors only", () => {
    expect(messages("src/replica/x.ts", `import { Node } from "#raft";`)).toEqual([]);
    expect(messages("src/replica/x.ts", `import { Node } from "#raft/adapters";`)).toHaveLength(1);
    expect(messages("src/replica/x.ts", `import { Node } from "../../raft/core/node.ts";`)).toHaveLength(1);
    expect(messages("raft/core/x.ts", `import { Driver } from "../driver/driver.ts";`)).toHaveLength(1);
  });

  test("production never imports tests, and the daemon never the client's commands", () => {
    expect(messages("src/daemon/x.ts", `import { fake } from "../../test/fakes/clock.ts";`)).toHaveLength(1);
    expect(messages("src/daemon/x.ts", `import { run } from "../cli/main.ts";`)).toHaveLength(1);
    expect(messages("src/daemon/x.test.ts", `import { fake } from "../../test/fakes/clock.ts";`)).toEqual([]);
  });

  test("the platform may name the types of ports, not their code", () => {
    expect(messages("src/platform/x.ts", `import type { Calls } from "../replica/calls.ts";`)).toEqual([]);
    expect(messages("src/platform/x.ts", `import { Calls } from "../replica/calls.ts";`)).toHaveLength(1);
  });

  test("packages stay in their rooms", () => {
    expect(messages("src/agent/systemd/bus.ts", `import dbus from "dbus-next";`)).toEqual([]);
    expect(messages("src/agent/x.ts", `import dbus from "dbus-next";`)).toEqual([
      `1: room src/agent/ may not use package "dbus-next"`,
    ]);
    expect(messages("raft/driver/x.ts", `import { Database } from "bun:sqlite";`)).toHaveLength(1);
    expect(messages("src/model/x.ts", `import { createHash } from "node:crypto";`)).toEqual([]);
    expect(messages("src/model/x.ts", `import { readFile } from "node:fs/promises";`)).toHaveLength(1);
    expect(messages("src/cli/x.ts", `import { readFile } from "node:fs/promises";`)).toEqual([]);
    expect(messages("src/cli/x.ts", `import net from "node:net";`)).toHaveLength(1);
    expect(messages("src/cli/ssh/x.ts", `import net from "node:net";`)).toEqual([]);
  });

  test("a file outside every room is refused", () => {
    expect(messages("src/misc/x.ts", "")).toEqual(["1: the file is in no room of src/ARCHITECTURE.md"]);
  });
});

describe("checkWords()", () => {
  test.each([
    "const now = Date.now();",
    "const now = new Date();",
    "const chance = Math.random();",
    "setTimeout(run, 1);",
    "const now = performance.now();",
    "process.exit(1);",
    'await Bun.write("x", "y");',
    "const answer = await fetch(url);",
    "const id = crypto.randomUUID();",
    'console.log("x");',
  ])("refuses %p in a room without effects", (source) => {
    expect(messages("src/engine/x.ts", source)).toHaveLength(1);
    expect(messages("src/platform/x.ts", source)).toEqual([]);
  });

  test.each([
    "const sum = Bun.hash.crc32(bytes);",
    "const answer = await this.#fetch(request);",
    "const lastDate = entry.Date;",
    "function fetch(request: Request): Response {}",
  ])("lets %p pass", (source) => {
    expect(messages("src/engine/x.ts", source)).toEqual([]);
  });

  test("synchronous rooms have no async, but for the exceptions", () => {
    expect(messages("src/store/x.ts", "async function f() {}")).toEqual([
      "1: room src/store/ is synchronous: no async",
    ]);
    expect(messages("src/engine/plan.ts", "const f = async () => 1;")).toHaveLength(1);
    expect(messages("src/engine/engine.ts", "const f = async () => 1;")).toEqual([]);
    expect(messages("src/store/local-kv.ts", "async function f() {}")).toEqual([]);
  });
});

describe("checkShape()", () => {
  const header = "/**\n * What it is.\n *\n * @module\n */\n";

  test("wants a header", () => {
    expect(checkShape(file("src/lib/x.ts", "const a = 1;\n"))).toHaveLength(1);
    expect(checkShape(file("src/lib/x.ts", header))).toEqual([]);
  });

  test("limits files and functions", () => {
    const long = `${header}function f() {\n${"  step();\n".repeat(70)}}\n`;
    expect(checkShape(file("src/lib/x.ts", long))).toMatchObject([
      { line: 6, message: "a function of 72 lines; at most 70" },
    ]);
    expect(checkShape(file("src/lib/x.ts", header + "a();\n".repeat(400)))).toHaveLength(1);
    expect(checkShape(file("src/lib/x.test.ts", long))).toEqual([]);
    expect(checkShape(file("src/etcd-proto/etcd_pb.ts", long))).toEqual([]);
  });
});

test("checkCycles() reports a ring once, by types, too", () => {
  const ring = [
    file("src/lib/a.ts", `import { b } from "./b.ts";`),
    file("src/lib/b.ts", `import type { C } from "./c.ts";`),
    file("src/lib/c.ts", `import { a } from "./a.ts";`),
    file("src/lib/d.ts", `import { a } from "./a.ts";`),
  ];
  expect(checkCycles(ring)).toEqual([
    {
      path: "src/lib/a.ts",
      line: 1,
      message: "import cycle: src/lib/a.ts -> src/lib/b.ts -> src/lib/c.ts -> src/lib/a.ts",
    },
  ]);
});
