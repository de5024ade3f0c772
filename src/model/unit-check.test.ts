/**
 * Each fault of a unit file at its line; and never another verdict than that of a submit.
 *
 * @module
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { encodeText } from "../lib/text.ts";
import { parseRequirements } from "./requirements.ts";
import { checkUnitFile } from "./unit-check.ts";
import { checkUnitOptions, parseUnitFile } from "./unit-file.ts";

const SERVICE = "[Service]\nExecStart=/bin/true\n";

/** As a compiler would print them. */
function check(text: string | Uint8Array, name = "a.service"): string[] {
  const source = typeof text === "string" ? encodeText(text) : text;
  return checkUnitFile(name, source).map(({ kind, line, message }) => `${line ?? "-"} ${kind}: ${message}`);
}

test("nothing to say", () => {
  expect(check(SERVICE)).toEqual([]);
  expect(check(`# a comment \\\n  goes on\n${SERVICE}[X-Fleet]\nMachineMetadata=disk=ssd\nConflicts=b*\n`)).toEqual([]);
  expect(check("[Unit]\nDescription=x\n", "a.target")).toEqual([]);
  expect(check(`${SERVICE}[X-Fleet]\nMachineID=%i\n`, "a@.service")).toEqual([]);
});

test("lines that cannot be read: each of them, not just the first", () => {
  expect(check(`[Unit\n${SERVICE}nonsense\n[X-Fleet]\n=x\nConflicts=a\\ \n`)).toEqual([
    '1 error: Section "[Unit" has no "]"',
    '4 error: "nonsense" is no option: it has no "="',
    '6 error: No option name stands before "="',
    '7 error: White space follows the "\\" that ends it. Remove it to continue the line',
  ]);
  const broken = new Uint8Array([...encodeText(`${SERVICE}# `), 0xff, 0x0a]);
  expect(check(broken)).toEqual(["3 error: It is not UTF-8"]);
  expect(check("x y\n".repeat(100))).toHaveLength(2);
  expect(check("[A]\nx y\n".repeat(100))).toHaveLength(20);
});

test("a continued line that is refused takes its continuation with it", () => {
  expect(check(`${SERVICE}Environment=${"x".repeat(2_100)}\\\n  more\nUser\n`)).toEqual([
    expect.stringContaining("3 error: It has 2113 bytes"),
    expect.stringContaining('5 error: "User" is no option'),
  ]);
});

test("placement: alone, in pairs, and together", () => {
  const at = `${SERVICE}[X-Fleet]\n`;
  expect(check(`${at}MachineID=113f16a7\nMachineMetadata=a=b c=d\nFence=maybe\nGlobal=true\nConflicts=[a\n`)).toEqual([
    expect.stringMatching(/^5 error: .*MachineMetadata/),
    expect.stringMatching(/^6 error: .*Fence=maybe/),
    expect.stringMatching(/^7 error: Cannot use MachineID with Global in \[X-Fleet\].* \(line 4\)$/),
    expect.stringMatching(/^8 error: .*Conflicts.*"\[a"/),
  ]);
  expect(check(`${at}MachineOf=b.service\n[X-Flt]\nGlobal=false\n`)).toEqual([
    expect.stringMatching(/^6 error: Cannot use \[X-Fleet\] and \[X-Flt\] in one unit file/),
  ]);
  // A mistyped name is told beside the errors, not after they are mended.
  expect(check(`${at}MachineOff=b.service\n[X-Flt]\nGlobal=false\nGlobel=true\n`)).toEqual([
    '4 warning: Unknown option "MachineOff" in section [X-Fleet]. Did you mean "MachineOf"?',
    expect.stringMatching(/^6 error: Cannot use \[X-Fleet\] and \[X-Flt\] in one unit file/),
    expect.stringMatching(/^7 error: Cannot use \[X-Fleet\] and \[X-Flt\] in one unit file/),
    '7 warning: Unknown option "Globel" in section [X-Flt]. Did you mean "Global"?',
  ]);
});

test("warnings: what is accepted and means nothing, or can never hold", () => {
  expect(
    check(`stray\n${SERVICE}[X-Fleet]\nMachineOff=b.service\nMachineID=xyz\nMachineID=113f16a7\n[X-Flett]\nA=b\n`),
  ).toEqual([
    "1 warning: Text before the first section is ignored",
    '5 warning: Unknown option "MachineOff" in section [X-Fleet]. Did you mean "MachineOf"?',
    expect.stringMatching(/^6 warning: No machine has the id "xyz"/),
    expect.stringMatching(/^7 warning: MachineID names 2 machines/),
    expect.stringMatching(/^9 warning: Unknown section "\[X-Flett\]"/),
  ]);
});

test("sections that systemd would not heed, and those that it misses", () => {
  expect(check("[Serivce]\nExecStart=/bin/true\n[Timer]\nOnBootSec=1\n[X-Mine]\na=b\n")).toEqual([
    "- warning: Section [Service] is missing: systemd does not load a service without it",
    '2 warning: systemd ignores section "[Serivce]". Did you mean "Service"?',
    '4 warning: systemd ignores section "[Timer]": the unit is a service',
  ]);
  expect(check("[Service]\nUser=me\n")).toEqual(["- warning: The service has no ExecStart=: systemd does not load it"]);
  const noWork = expect.stringContaining("has no ExecStart=");
  expect(check("[Service]\nExecStart=/bin/true\nExecStart=\n")).toEqual([noWork]);
  expect(check("[Unit]\nExecStart=/bin/true\n[Service]\nUser=me\n")).toEqual([noWork]);
  expect(check("[Service]\nExecStart=\nExecStart=/bin/true\n")).toEqual([]);
  expect(check("[Unit]\nSuccessAction=exit\n[Service]\nUser=me\n")).toEqual([]);
  expect(check("[Unit]\nDescription=x\n", "a.timer")).toEqual([
    "- warning: Section [Timer] is missing: systemd does not load a timer without it",
  ]);
});

test("names, and files without options", () => {
  expect(check(SERVICE, "a b.service")).toEqual([
    expect.stringMatching(/^- error: Cannot use unit name "a b\.service"/),
  ]);
  expect(check(SERVICE, "a@b.mount")[0]).toContain("cannot be a template or an instance");
  expect(check("")).toEqual(["- error: The file has no options"]);
  expect(check("# only\n[Service]\n")).toEqual(["- error: The file has no options"]);
});

const lines = fc.constantFrom(
  ...["[Service]", "[X-Fleet]", "[X-Flt]", "[Broken", "ExecStart=/bin/true", "Global=true", "Global=maybe", "nonsense"],
  ...["MachineID=113f16a7", "MachineOf=b.service", "Conflicts=b*", "Conflicts=[x", "Replaces=b.service", "Fence=x", ""],
  ...["MachineMetadata=a=b", "MachineMetadata=a b", "X=y\\", "# c \\", "=", "Replaces=a.service", "\x00"],
);

test("an error just where a submit would be refused", () => {
  fc.assert(
    fc.property(fc.array(lines, { maxLength: 8 }), (all) => {
      const source = encodeText(all.join("\n"));
      const isRefused = ((): boolean => {
        try {
          const options = parseUnitFile(source);
          checkUnitOptions(options);
          parseRequirements("a.service", options);
          return options.length === 0;
        } catch {
          return true;
        }
      })();
      const hasError = checkUnitFile("a.service", source).some(({ kind }) => kind === "error");
      expect(hasError).toBe(isRefused);
    }),
    { numRuns: 3_000 },
  );
});
