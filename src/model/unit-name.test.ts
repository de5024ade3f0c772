/**
 * spec/fleet.md section 2, rule by rule.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isUnitName, mangleUnitName, parseUnitName, UNIT_SUFFIXES, UnitNameError } from "./unit-name.ts";

describe("parts", () => {
  test("a plain unit", () => {
    expect(parseUnitName("hello.service")).toEqual({
      name: "hello.service",
      stem: "hello",
      prefix: "hello",
      instance: "",
      suffix: "service",
      isTemplate: false,
      isInstance: false,
      template: "",
    });
  });
  test("a template", () => {
    expect(parseUnitName("foo@.service")).toMatchObject({
      stem: "foo@",
      prefix: "foo",
      instance: "",
      isTemplate: true,
      isInstance: false,
      template: "foo@.service",
    });
  });
  test("an instance; dots and further @ belong to it", () => {
    expect(parseUnitName("foo@a.b@c.timer")).toMatchObject({
      stem: "foo@a.b@c",
      prefix: "foo",
      instance: "a.b@c",
      suffix: "timer",
      isTemplate: false,
      isInstance: true,
      template: "foo@.timer",
    });
  });
});

describe("refusals name the culprit", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["", "it is empty"],
    ["hello", 'it has no "."'],
    ["hello.", 'it ends in "."'],
    [".service", 'nothing stands before ".service"'],
    ["hello.txt", '"txt" is no unit type'],
    ["hello.Service", '"Service" is no unit type'],
    ["a/b.service", '"/" is not allowed'],
    ["a b.service", '" " is not allowed'],
    ["a\nb.service", '"\\n" is not allowed'],
    ["ä.service", '"ä" is not allowed'],
    ["a%i.service", '"%" is not allowed'],
    ["@.service", 'it begins with "@"'],
    ["@foo.service", 'it begins with "@"'],
    ["foo@bar.mount", "a mount unit cannot be a template or an instance"],
    ["foo@.slice", "a slice unit cannot be a template or an instance"],
    [`${"a".repeat(249)}.service`, "it has 257 characters, at most 256 are allowed"],
  ];
  for (const [name, reason] of cases) {
    test(JSON.stringify(name.slice(0, 40)), () => {
      expect(() => parseUnitName(name)).toThrow(reason);
      expect(() => parseUnitName(name)).toThrow(UnitNameError);
      expect(isUnitName(name)).toBe(false);
    });
  }
});

test("every type, every allowed character and 256 characters are fine", () => {
  for (const suffix of UNIT_SUFFIXES) {
    expect(isUnitName(`aZ09:-_.\\.${suffix}`)).toBe(true);
  }
  for (const suffix of ["path", "service", "socket", "target", "timer"]) {
    expect(isUnitName(`a@b.${suffix}`)).toBe(true);
  }
  expect(isUnitName(`${"a".repeat(248)}.service`)).toBe(true);
});

describe("mangling of command line arguments", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["hello", "hello.service"],
    ["hello.service", "hello.service"],
    ["./units/hello.service", "hello.service"],
    ["/a/b/hello", "hello.service"],
    ["a/hello.timer/", "hello.timer"],
    ["hello.1", "hello.1.service"],
    ["foo@1", "foo@1.service"],
    ["my.slice", "my.slice"],
    ["my.swap", "my.swap"],
    ["service", "service.service"],
  ];
  for (const [argument, name] of cases) {
    test(argument, () => expect(mangleUnitName(argument)).toBe(name));
  }
});

test("no valid name can leave its folder or break a line, whatever it is", () => {
  const character = fc.constantFrom(..."ab.@:-_\\/ \n\0%é");
  fc.assert(
    fc.property(fc.string({ unit: character }), fc.constantFrom(...UNIT_SUFFIXES), (stem, suffix) => {
      const name = `${stem}.${suffix}`;
      if (isUnitName(name)) {
        expect(name).toMatch(/^[0-9A-Za-z:\-_.\\@]+$/);
        const parts = parseUnitName(name);
        expect(`${parts.stem}.${parts.suffix}`).toBe(name);
        expect(parts.isTemplate && parts.isInstance).toBe(false);
        expect(parts.template === "").toBe(!name.includes("@"));
      }
    }),
  );
});
