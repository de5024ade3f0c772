import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SILENT_LOG } from "../../lib/log.ts";
import { BusRefusal } from "./bus.ts";
import { aliasesOf, Enablement } from "./enablement.ts";

const INSTALL = "[Service]\nExecStart=/bin/true\n\n[Install]\nWantedBy=x.target\n";
let root: string;
let held: Map<string, string>;
let calls: unknown[];
let answers: Map<string, () => readonly unknown[]>;
let enablement: Enablement;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "flt-enablement-"));
  mkdirSync(join(root, "x.target.wants"));
  held = new Map();
  calls = [];
  answers = new Map();
  enablement = new Enablement({
    call: (member, _signature, body) => {
      calls.push([member, body[0]]);
      return Promise.resolve().then(() => answers.get(member)?.() ?? [[]]);
    },
    textOf: (name) => held.get(name),
    fileOf: (name) => `/units/${name}`,
    runtimeUnits: root,
    log: SILENT_LOG,
  });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const unlinked = (...links: string[]) => [links.map((link) => ["unlink", join(root, link), ""])];

test("a unit that is alone is disabled with one call, and nothing is looked for", async () => {
  answers.set("DisableUnitFiles", () => unlinked("a.service", "x.target.wants/a.service", "alias-of-a.service"));
  symlinkSync("/units/a.service", join(root, "left-alone.service"));
  await enablement.disable("a.service");
  expect(calls).toEqual([["DisableUnitFiles", ["a.service"]]]);
  expect(readdirSync(root)).toContain("left-alone.service");
});

test("what Also= took from held units is given back; what theirs gives to the one that went is taken away again", async () => {
  held.set("b.service", INSTALL).set("c.socket", "[Socket]\n");
  answers.set("DisableUnitFiles", () => unlinked("a.service", "b.service", "x.target.wants/b.service", "c.socket"));
  answers.set("EnableUnitFiles", () => {
    symlinkSync("/units/a.service", join(root, "a.service"));
    symlinkSync("/units/a.service", join(root, "x.target.wants", "a.service"));
    symlinkSync("/units/b.service", join(root, "x.target.wants", "b.service"));
    writeFileSync(join(root, "x.target.wants", "no-link"), "");
    return [true, []];
  });
  await enablement.disable("a.service");
  expect(calls).toEqual([
    ["DisableUnitFiles", ["a.service"]],
    ["LinkUnitFiles", ["/units/b.service"]],
    ["EnableUnitFiles", ["b.service"]],
    ["LinkUnitFiles", ["/units/c.socket"]],
  ]);
  expect(readdirSync(root)).toEqual(["x.target.wants"]);
  expect(readdirSync(join(root, "x.target.wants")).sort()).toEqual(["b.service", "no-link"]);
});

test("what goes itself is not given back, until it is gone", async () => {
  held.set("a.service", INSTALL).set("b.service", INSTALL);
  answers.set("DisableUnitFiles", () => unlinked("a.service", "b.service"));
  await Promise.all([enablement.disable("a.service"), enablement.disable("b.service")]);
  expect(calls.map((call) => (call as string[])[0])).toEqual(["DisableUnitFiles", "DisableUnitFiles"]);
  enablement.gone("a.service");
  enablement.gone("b.service");
  await enablement.disable("b.service");
  expect(calls.slice(3)).toContainEqual(["EnableUnitFiles", ["a.service"]]);
});

test("a disable that systemd refuses is no failure, any other fault is one", async () => {
  answers.set("DisableUnitFiles", () => {
    throw new BusRefusal("org.freedesktop.systemd1.NoSuchUnit", "gone");
  });
  await enablement.disable("a.service");
  answers.set("DisableUnitFiles", () => {
    throw new Error("lost");
  });
  await expect(enablement.disable("a.service")).rejects.toThrow("lost");
});

test("an enable that systemd refuses fails", async () => {
  answers.set("EnableUnitFiles", () => {
    throw new BusRefusal("org.freedesktop.DBus.Error.InvalidArgs", "no");
  });
  await expect(enablement.enable("a.service")).rejects.toThrow("no");
});

test("aliasesOf() reads [Install] alone, line by line, and expands what comes of the name", () => {
  const text = [
    "[Service]\nAlias=no.service\n\n[Install]\nAlias=one.service two.service \\\n three.service",
    "WantedBy=multi-user.target\nAlias=%p-x.service %N.service %i.service %H.service w@1.service",
  ].join("\n");
  expect(aliasesOf("w@1.service", text)).toEqual([
    "one.service",
    "two.service",
    "three.service",
    "w-x.service",
    "1.service",
  ]);
});
