/**
 * The placement section of spec/fleet.md section 3: every option, spelling, list form and refusal.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  fenceOf,
  isGlobalFile,
  PLACEMENT_OPTIONS,
  parseRequirements,
  unitWarnings,
  unknownOptions,
} from "./requirements.ts";
import { parseUnitFile, UnitFileError, UnitOptionsError } from "./unit-file.ts";

const ID = "0123456789abcdef0123456789abcdef";

/** Requirements of a unit whose placement section has these lines. */
function read(lines: string, { name = "foo.service", section = "X-Fleet" } = {}) {
  return parseRequirements(name, parseUnitFile(`[Service]\nExecStart=/bin/true\n[${section}]\n${lines}`));
}

function metadata(lines: string): Record<string, string[]> {
  return Object.fromEntries(Array.from(read(lines).metadata, ([key, values]) => [key, [...values]]));
}

test("a unit that asks for nothing", () => {
  expect(parseRequirements("foo.service", parseUnitFile("[Service]\nExecStart=/bin/true"))).toEqual({
    machineIds: [],
    machineOf: [],
    metadata: new Map(),
    conflicts: [],
    replaces: [],
    global: false,
    fence: "none",
  });
});

describe("options and spellings", () => {
  test("MachineID, full, short, in any case, old spellings; the first counts", () => {
    expect(read(`MachineID=${ID}`).machineIds).toEqual([ID]);
    expect(read("MachineID=ABCDEF01").machineIds).toEqual(["abcdef01"]);
    expect(read(`X-ConditionMachineID=${ID}`).machineIds).toEqual([ID]);
    expect(read("X-ConditionMachineBootID=01234567-89ab-cdef-0123-456789abcdef").machineIds).toEqual([ID]);
    expect(read(`MachineID=abcdef01\nMachineID=${ID}`).machineIds).toEqual(["abcdef01"]);
  });
  test("MachineOf may repeat", () => {
    expect(read("MachineOf=a.service\nX-ConditionMachineOf=b.service\nMachineOf=a.service").machineOf).toEqual([
      "a.service",
      "b.service",
    ]);
    expect(read('MachineOf="a.service" "b.service"').machineOf).toEqual(["a.service", "b.service"]);
  });
  test("MachineMetadata: values of one key are alternatives, keys add up", () => {
    expect(metadata('MachineMetadata=a=1\nMachineMetadata="a=2" "b=3"\nX-ConditionMachineMetadata=c=4')).toEqual({
      a: ["1", "2"],
      b: ["3"],
      c: ["4"],
    });
  });
  test("MachineMetadata: quotes and blanks within a pair; a value may hold blanks and =", () => {
    expect(metadata('MachineMetadata=region="us-west"')).toEqual({ region: ["us-west"] });
    expect(metadata('MachineMetadata="a = b"')).toEqual({ a: ["b"] });
    expect(metadata("MachineMetadata=a=b c")).toEqual({ a: ["b c"] });
    expect(metadata("MachineMetadata=a=b=c")).toEqual({ a: ["b=c"] });
  });
  test("Conflicts and Replaces: several a line, quoted or not, repeated, old spelling", () => {
    expect(read('Conflicts=a* b*.service\nConflicts="c?" "d"\nX-Conflicts=e').conflicts).toEqual([
      "a*",
      "b*.service",
      "c?",
      "d",
      "e",
    ]);
    expect(read("Conflicts=a \\\n  b").conflicts).toEqual(["a", "b"]);
    expect(read("Replaces=a*").replaces).toEqual(["a*"]);
  });
  test("quoted lists work for every option, in every spelling", () => {
    const cases: readonly (readonly [line: string, expected: object])[] = [
      ['MachineID="abcdef01" "12345678"', { machineIds: ["abcdef01"] }],
      [`X-ConditionMachineID="${ID}"`, { machineIds: [ID] }],
      [`X-ConditionMachineBootID="${ID}"`, { machineIds: [ID] }],
      ['MachineOf="a.service" "b.service"', { machineOf: ["a.service", "b.service"] }],
      ['X-ConditionMachineOf="a.service" "b.service"', { machineOf: ["a.service", "b.service"] }],
      ['Conflicts="a" "b"', { conflicts: ["a", "b"] }],
      ['X-Conflicts="a" "b"', { conflicts: ["a", "b"] }],
      ['Replaces="a" "b"', { replaces: ["a", "b"] }],
      ['Global="false" "true"', { global: true }],
      ['Fence="none" "strict"', { fence: "strict" }],
    ];
    for (const [line, expected] of cases) expect([line, read(line)]).toMatchObject([line, expected]);
    const pairs = { a: ["1"], b: ["2"] };
    for (const name of ["MachineMetadata", "X-ConditionMachineMetadata"]) {
      expect(metadata(`${name}="a=1" "b=2"`)).toEqual(pairs);
    }
    const tested = [...cases.map(([line]) => line), "MachineMetadata="].map((line) => line.split("=", 1)[0] ?? "");
    for (const option of PLACEMENT_OPTIONS) expect(tested).toContain(option);
  });
  test("Global: every word for true in any case, the last one counts", () => {
    for (const word of ["true", "TRUE", "Yes", "1", "on", "t", "T"]) {
      expect(read(`Global=${word}`).global).toBe(true);
    }
    for (const word of ["false", "no", "0", "y", "enabled", ""]) {
      expect(read(`Global=${word}`).global).toBe(false);
    }
    expect(read("Global=true\nGlobal=false").global).toBe(false);
    expect(read("Global=false\nGlobal=true").global).toBe(true);
    expect(read("Global=true\nGlobal=").global).toBe(false);
    expect(read("Fence=strict\nFence=").fence).toBe("none");
  });
  test("Fence", () => {
    expect(read("Fence=strict", { section: "X-Flt" }).fence).toBe("strict");
    expect(read("Fence=none").fence).toBe("none");
    expect(fenceOf([{ section: "X-Flt", name: "Fence", value: '"strict"' }])).toBe("strict");
    expect(fenceOf([{ section: "Service", name: "Fence", value: "strict" }])).toBe("none");
    const stubborn = { section: "Unit", name: "RefuseManualStop", value: "yes" };
    const fenced = { section: "X-Flt", name: "Fence", value: "strict" };
    expect(() => parseRequirements("a.service", [stubborn, fenced])).toThrow(
      "Cannot use Fence=strict in [X-Flt] with RefuseManualStop in [Unit]",
    );
    expect(() => read("Fence=maybe")).toThrow('Cannot use Fence=maybe in [X-Fleet]: use "strict" or "none"');
  });
  test("[X-Flt] is the same section", () => {
    expect(read("Global=true", { section: "X-Flt" }).global).toBe(true);
    expect(parseRequirements("a.service", [{ section: "x-fleet", name: "Global", value: "true" }]).global).toBe(false);
  });
  test("an empty assignment asks for nothing", () => {
    expect(read("MachineID=\nMachineOf=\nMachineMetadata=\nConflicts=\nReplaces=\nGlobal=")).toEqual(read(""));
    expect(read("MachineMetadata=\\\n\n")).toEqual(read(""));
  });
});

describe("specifiers", () => {
  test("of an instance", () => {
    const all = 'MachineOf=%p@%i.socket\nMachineMetadata="name=%n" "stem=%N"';
    const { machineOf, metadata: pairs } = read(all, { name: "foo@bar.service" });
    expect(machineOf).toEqual(["foo@bar.socket"]);
    expect(pairs).toEqual(
      new Map([
        ["name", new Set(["foo@bar.service"])],
        ["stem", new Set(["foo@bar"])],
      ]),
    );
  });
  test("what they stand for is taken literally: no second round, no pattern", () => {
    expect(read("MachineMetadata=a=%i", { name: "x@%.service".replace("%", "y") }).metadata.get("a")).toEqual(
      new Set(["y"]),
    );
    expect(read("Conflicts=%p@*.service", { name: "a\\x2db@1.service" }).conflicts).toEqual(["a\\\\x2db@*.service"]);
  });
  test("any other % stays", () => {
    expect(read("MachineMetadata=a=%H%").metadata.get("a")).toEqual(new Set(["%H%"]));
  });
  test("an empty result asks for nothing", () => {
    expect(read("MachineOf=%i", { name: "foo@.service" }).machineOf).toEqual([]);
  });
});

describe("refusals name the pair", () => {
  const cases: readonly (readonly [string, string])[] = [
    [`MachineID=${ID}\nMachineOf=a.service`, "Cannot use MachineID with MachineOf"],
    [`MachineID=${ID}\nConflicts=a`, "Cannot use MachineID with Conflicts"],
    [`MachineID=${ID}\nGlobal=true`, "Cannot use MachineID with Global"],
    [`MachineID=${ID}\nReplaces=a`, "Cannot use MachineID with Replaces"],
    ["X-ConditionMachineBootID=1\nX-Conflicts=a", "Cannot use MachineID with Conflicts"],
    ["Global=true\nMachineOf=a.service", "Cannot use Global with MachineOf"],
    ["Global=yes\nReplaces=a", "Cannot use Global with Replaces"],
    ["Global=yes\nFence=strict", "Cannot use Fence with Global"],
    ["Conflicts=a\nReplaces=b", "Cannot use Conflicts with Replaces"],
    ["MachineOf=a.service\nConflicts=a.*", "Cannot use MachineOf=a.service with Conflicts=a.*"],
    ["MachineOf=a.service\nReplaces=*.service", "Cannot use MachineOf=a.service with Replaces=*.service"],
    ["MachineOf=%p.socket\nConflicts=foo.*", "Cannot use MachineOf=foo.socket with Conflicts=foo.*"],
  ];
  for (const [lines, message] of cases) {
    test(message, () => {
      expect(() => read(lines)).toThrow(UnitOptionsError);
      expect(() => read(lines)).toThrow(message);
    });
  }
  test("pairs that go together", () => {
    expect(read("Global=true\nConflicts=a\nMachineMetadata=a=b").global).toBe(true);
    expect(read("Global=false\nMachineOf=a.service").machineOf).toEqual(["a.service"]);
    expect(read("MachineOf=a.service\nConflicts=b*").conflicts).toEqual(["b*"]);
  });
});

describe("values that cannot be read", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["MachineMetadata=a=b c=d", '"a=b c=d" looks like several pairs. Quote each'],
    ["MachineMetadata=a=b \\\n c=d", "looks like several pairs"],
    ['MachineMetadata="a=b" c=d', "quote each pair"],
    ['MachineMetadata="a=b""c=d"', "quote each pair"],
    ['MachineMetadata="a=b', "quote each pair"],
    ["MachineMetadata=region", '"region" is no pair key=value'],
    ["MachineMetadata==b", '"=b" is no pair key=value'],
    ["MachineMetadata=a=", '"a=" is no pair key=value'],
    ['Conflicts="a', "its quotes do not pair up"],
    ["Conflicts=a[", 'Cannot use Conflicts in [X-Fleet]: Cannot use pattern "a["'],
    ["Replaces=a\\", 'pattern "a\\\\"'],
  ];
  for (const [lines, message] of cases) {
    // A "\\" at the end of a file line continues it: such a value can only come over the API.
    const [name = "", ...value] = lines.split("=");
    test(JSON.stringify(lines), () => {
      const options = [{ section: "X-Fleet", name, value: value.join("=") }];
      expect(() => parseRequirements("foo.service", options)).toThrow(message);
      expect(() => parseRequirements("foo.service", options)).toThrow(name);
    });
  }
  test("both sections in one file", () => {
    expect(() => parseRequirements("a.service", parseUnitFile("[X-Fleet]\nGlobal=1\n[X-Flt]\nGlobal=1"))).toThrow(
      "Cannot use [X-Fleet] and [X-Flt] in one unit file",
    );
  });
});

describe("warnings", () => {
  function warnings(lines: string, name = "foo.service"): string[] {
    return unitWarnings(name, parseUnitFile(`[X-Fleet]\n${lines}`));
  }
  test("an unknown option is named, with a suggestion when one is near", () => {
    expect(warnings("MachineMetdata=a=b\nfrobnicate=1\nMachineid=1")).toEqual([
      'Unknown option "MachineMetdata" in section [X-Fleet]. Did you mean "MachineMetadata"?',
      'Unknown option "frobnicate" in section [X-Fleet]',
      'Unknown option "Machineid" in section [X-Fleet]. Did you mean "MachineID"?',
    ]);
  });
  test("a fence round a unit that starts another one does not go round that one", () => {
    for (const name of ["a.timer", "a.socket", "a.path", "a.automount"]) {
      expect(warnings("Fence=strict", name)).toEqual([
        expect.stringContaining(`holds for this ${name.slice(2)} alone`),
      ]);
      expect(warnings("Fence=none", name)).toEqual([]);
    }
    for (const name of ["a.service", "a.mount"]) expect(warnings("Fence=strict", name)).toEqual([]);
  });
  test("so is a section that looks like the placement section", () => {
    expect(unknownOptions(parseUnitFile("[X-Flet]\nGlobal=true\n[X-Other]\na=b\n[Service]\na=b"))).toEqual([
      'Unknown section "[X-Flet]". Did you mean "X-Fleet"?',
    ]);
  });
  test("requirements that nothing can meet", () => {
    expect(warnings("MachineID=nowhere")).toEqual([
      'No machine has the id "nowhere" of MachineID: it has neither 32 nor 8 hex digits',
    ]);
    expect(warnings("MachineID=01234567\nMachineID=abcdef01")[0]).toContain("MachineID names 2 machines");
    expect(warnings("MachineOf=foo")).toEqual(['No unit can have the name "foo" of MachineOf: it is no unit name']);
    expect(warnings("Global=ture")).toEqual([
      "Global=ture counts as false, as each word does that is not one of true, yes, 1, on, t",
    ]);
    for (const word of ["true", "NO", "off", ""]) expect(warnings(`Global=${word}`)).toEqual([]);
  });
  test("nothing to say: known options, old spellings, templates before they have an instance", () => {
    expect(warnings(`MachineID=${ID}\nX-Conflicts=\nFence=none`)).toEqual([]);
    expect(warnings("MachineOf=%i", "foo@.service")).toEqual([]);
    expect(warnings("MachineOf=%i", "foo@bar.service")).toHaveLength(1);
  });
});

test("property: any section is read or refused by name, never a crash", () => {
  const value = fc
    .array(fc.oneof(fc.constantFrom('"', " ", "=", "%i", "*", "[", "\\", "a", "a=b"), fc.string()))
    .map((parts) => parts.join(""));
  const option = fc.record({
    section: fc.constant("X-Fleet"),
    name: fc.constantFrom(...PLACEMENT_OPTIONS, "X-ConditionMachineMetadata", "Other"),
    value,
  });
  fc.assert(
    fc.property(fc.array(option, { maxLength: 4 }), (options) => {
      try {
        parseRequirements("foo@bar.service", options);
        unitWarnings("foo@bar.service", options);
      } catch (error) {
        expect(error instanceof UnitOptionsError || error instanceof UnitFileError).toBe(true);
      }
    }),
    { numRuns: 1000 },
  );
});

test("isGlobalFile() refuses nothing: what cannot be read is not global", () => {
  const file = (lines: string) => parseUnitFile(`[X-Fleet]\nGlobal=true\n${lines}`);
  expect(isGlobalFile("a.service", file(""))).toBe(true);
  expect(isGlobalFile("a.service", file("MachineOf=b.service"))).toBe(false);
  expect(isGlobalFile("nonsense", file(""))).toBe(false);
});
