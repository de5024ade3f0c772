/**
 * What the configuration file may look like, and what is said of lines that cannot be read.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ConfigError } from "./config-error.ts";
import { parseConfigFile } from "./file.ts";

function readValue(line: string): string | undefined {
  return parseConfigFile("/etc/flt/flt.conf", line)[0]?.value;
}

describe("values", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["k=v", "v"],
    ["  k  =  v  ", "v"],
    ["k=", ""],
    ['k=""', ""],
    ['k="a b"', "a b"],
    ["k='a b'", "a b"],
    ["k='123'", "123"],
    ['k=\'["a","b"]\'', '["a","b"]'],
    ["k=true", "true"],
    ["k=a=b", "a=b"],
    ['k="a;b#c"', "a;b#c"],
    ['k="a # b"', "a # b"],
    ["k=color=#fff", "color=#fff"],
    ["k=a;b", "a;b"],
    ["k=v # comment", "v"],
    ["k=v ; comment", "v"],
    ["k=# comment", ""],
    ['k="v" # it is "quoted"', "v"],
    ["k=it's", "it's"],
    ["k=C:\\temp\\x", "C:\\temp\\x"],
    ['k=["http://a:1", "http://b#2"]', '["http://a:1", "http://b#2"]'],
    ['k="region"="us-west"', '"region"="us-west"'],
    ["k=v\r\n", "v"],
    ["\ufeffk=v", "v"],
  ];
  for (const [line, value] of cases) {
    test(`${JSON.stringify(line)} gives ${JSON.stringify(value)}`, () => expect(readValue(line)).toBe(value));
  }
});

test("comments and blank lines are counted, so that line numbers are right", () => {
  expect(parseConfigFile("/c", "# a\n\n; b\r\nverbosity=1\n")).toEqual([{ key: "verbosity", value: "1", line: 4 }]);
});

describe("refusals name path and line", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["# ok\ngarbage", 'line 2: "garbage" is no option'],
    ["\n\n=v", 'line 3: "=v" is no option'],
    ["two words=v", 'line 1: "two words=v" is no option'],
    ["[Section]", 'line 1: "[Section]" begins a section'],
    ['a=1\nb="x', 'line 2: the value of "b" has a quote that is not closed'],
    ["verbosity=1\n# c\nverbosity=2", 'line 3: "verbosity" is set a second time, first in line 1'],
    ["# Gr\ufffdfe\ndata_dir=/gr\ufffdfe", 'line 2: the value of "data_dir" is not UTF-8'],
    ["etcd_password hunter2", "line 1: what stands there is no option"],
    ["verbosity=1\rgarbage", 'line 2: "garbage" is no option'],
    [`k"${"x".repeat(500)}`, `line 1: "k\\"${"x".repeat(78)}…" is no option`],
    ["data_dir=/a\nDATA-DIR=/b", 'line 2: "DATA-DIR" is set a second time, first in line 1'],
  ];
  for (const [text, message] of cases) {
    test(JSON.stringify(text), () => {
      expect(() => parseConfigFile("/etc/flt/flt.conf", text)).toThrow(`Cannot read "/etc/flt/flt.conf": ${message}`);
    });
  }
});

test("any text is either read or refused with a line number", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "binary" })), (lines) => {
      try {
        parseConfigFile("/c", lines.join("\n"));
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError);
        expect(String(error)).toMatch(/line \d+: /);
      }
    }),
  );
});

test("a quoted value comes out as it went in", () => {
  fc.assert(
    fc.property(
      fc.string().filter((text) => !/["\\\u0000-\u001f]/.test(text)),
      (text) => expect(readValue(`k="${text}"`)).toBe(text),
    ),
  );
});
