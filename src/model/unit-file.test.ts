/**
 * spec/fleet.md sections 1 (hash) and 3 (syntax).
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  checkUnitOptions,
  parseUnitFile,
  serializeUnitFile,
  shortHash,
  UnitFileError,
  type UnitOption,
  UnitOptionsError,
  unitHash,
} from "./unit-file.ts";

const HELLO: readonly UnitOption[] = [
  { section: "Unit", name: "Description", value: "Hello World" },
  {
    section: "Service",
    name: "ExecStart",
    value: '/bin/bash -c "while true; do echo \\"Hello, world\\"; sleep 1; done"',
  },
];

/** Options of one section "S" as `name=value` texts, for short tables. */
function inS(text: string): string[] {
  return parseUnitFile(`[S]\n${text}`).map(({ name, value }) => `${name}=${value}`);
}

test("hash: the test vector of section 1", () => {
  expect(unitHash(HELLO)).toBe("e55c0aeb44ba0b68004ceb8a200e685194448b45");
  expect(shortHash(unitHash(HELLO))).toBe("e55c0ae");
});

test("serialization: a blank line between sections, a section that occurs twice is merged into its first", () => {
  const text = serializeUnitFile(parseUnitFile("[A]\nx=1\n[B]\ny=2\n[A]\nz=3\nx=\n"));
  expect(text).toBe("[A]\nx=1\nz=3\nx=\n\n[B]\ny=2\n");
  expect(serializeUnitFile([])).toBe("");
});

describe("syntax", () => {
  const cases: readonly (readonly [string, string, readonly string[]])[] = [
    ["comments and blank lines", "# a\n; b\n\n  # c\nx=1", ["x=1"]],
    ["a repeated option makes a list", "x=1\nx=2", ["x=1", "x=2"]],
    ["an empty assignment is kept", "x=\nx =\ny=  ", ["x=", "x=", "y="]],
    ["white space around name and value is dropped", "  x \t=  1 2  ", ["x=1 2"]],
    ["only the first = separates", "x=a=b", ["x=a=b"]],
    ["# and ; inside a value", "x=a # b ; c", ["x=a # b ; c"]],
    ["quotes stay", 'x="a"', ['x="a"']],
    ["a continued line keeps backslash and newline", "x=a \\\n  b\ny=1", ["x=a \\\n  b", "y=1"]],
    ["a comment inside a continuation is not skipped", "x=a \\\n# b \\\nc", ["x=a \\\n# b \\\nc"]],
    ["a section header inside a continuation is not one", "x=a \\\n[T]\ny=1", ["x=a \\\n[T]", "y=1"]],
    ["a blank line ends a continuation", "x=a \\\n\ny=1", ["x=a \\\n", "y=1"]],
    ["so does the end of the file", "x=a \\", ["x=a \\\n"]],
    ["a backslash that is not last", "x=a\\b", ["x=a\\b"]],
    ["a continued comment", "# x=1 \\\ny=2\nz=3", ["z=3"]],
    ["CRLF", "x=1\r\ny=a \\\r\n b\r\nz=\r\n", ["x=1", "y=a \\\n b", "z="]],
    ["no newline at the end", "x=1", ["x=1"]],
    ["Unicode", "x=häß ✓ 🙂", ["x=häß ✓ 🙂"]],
  ];
  for (const [what, text, options] of cases) {
    test(what, () => expect(inS(text)).toEqual([...options]));
  }
  test("text before the first section is ignored, a byte order mark and comments with it", () => {
    expect(parseUnitFile("\ufeffjunk\n# c \\\n[No]\nx=1\n[A]\ny=2")).toEqual([{ section: "A", name: "y", value: "2" }]);
    expect(parseUnitFile("\ufeff[A]\ny=2")).toEqual([{ section: "A", name: "y", value: "2" }]);
    expect(parseUnitFile(new TextEncoder().encode("\ufeff[A]\ny=2"))).toHaveLength(1);
  });
  test("an empty file has no options", () => {
    expect(parseUnitFile("")).toEqual([]);
    expect(parseUnitFile("[Unit]\n")).toEqual([]);
  });
});

describe("refusals carry the line", () => {
  const cases: readonly (readonly [string, string | Uint8Array, number, string])[] = [
    ["no =", "[S]\nx=1\nfoo", 3, '"foo" is no option: it has no "="'],
    ["no name", "[S]\n=1", 2, "no option name"],
    ["open section", "[S", 1, 'section "[S" has no "]"'],
    ["text after a section", "[S] x", 1, '" x" follows section "S"'],
    ["section without name", "[]", 1, "the section has no name"],
    ["carriage return in a value", "[S]\nx=a\ry=b", 2, "control character"],
    ["NUL", "[S]\nx=a\0b", 2, 'control character "\\u0000"'],
    ["escape in a continued line", "[S]\nx=a \\\n\u001b[2J", 3, "control character"],
    ["white space after the last backslash", "[S]\nx=a \\ \ny=1", 2, 'white space follows the "\\"'],
    ["not UTF-8", new Uint8Array([0x5b, 0x53, 0x5d, 0x0a, 0x78, 0x3d, 0xff]), 2, "not UTF-8"],
    ["half a surrogate pair", "[S]\n\nx=\ud800", 3, "no valid Unicode"],
  ];
  for (const [what, source, line, reason] of cases) {
    test(what, () => {
      const error = refusal(() => parseUnitFile(source));
      expect(error).toBeInstanceOf(UnitFileError);
      expect(error.message).toContain(`line ${line}: `);
      expect(error.message).toContain(reason);
    });
  }
  test("2,048 bytes fit on a line, one more does not, whatever the line is", () => {
    const value = "é".repeat(1023);
    expect(inS(`x=${value}`)).toEqual([`x=${value}`]);
    for (const line of [`xy=${value}`, `# ${value}x`, `x=\\\n${value}xyz`]) {
      expect(refusal(() => inS(line)).message).toContain("it has 2049 bytes, at most 2048 are allowed");
    }
  });
});

describe("options that would not come back as they are", () => {
  const cases: readonly (readonly [string, Partial<UnitOption>, string])[] = [
    ["a line break", { value: "a\nExecStart=/bin/evil" }, "a line break"],
    ["a line break in a quoted text", { value: '"a\n"' }, "a line break"],
    ["a carriage return", { value: "a\rx=b" }, "control character"],
    ["a backslash at the end", { value: "a \\" }, "swallow the next line"],
    ["a line break at the end", { value: "a\n" }, "a line break"],
    ["white space around", { value: " a" }, "begins or ends with white space"],
    ["white space after a continuation", { value: "a \\\n " }, "begins or ends with white space"],
    ["half a surrogate pair", { value: "\udc00" }, "no valid Unicode"],
    ["] in the section", { section: "A]\n[B" }, '"]"'],
    ["a line break in the section", { section: "A\nB" }, "control character"],
    ["no section", { section: "" }, "its section has no name"],
    ["no name", { name: "" }, "it has no name"],
    ["= in the name", { name: "a=b" }, '"="'],
    ["a line break in the name", { name: "a\nb" }, "control character"],
    ["a name that reads as a comment", { name: "#a" }, 'begins with "#"'],
    ["a name that reads as a section", { name: "[a" }, 'begins with "["'],
    ["a name with white space around", { name: "a " }, "white space"],
    ["a line that is too long", { value: "a".repeat(2047) }, "it has 2049 bytes"],
  ];
  for (const [what, change, reason] of cases) {
    test(what, () => {
      const option = { section: "S", name: "x", value: "1", ...change };
      const error = refusal(() => checkUnitOptions([...HELLO, option]));
      expect(error).toBeInstanceOf(UnitOptionsError);
      expect(error.message).toContain(reason);
    });
  }
  test("what parseUnitFile gives is accepted", () => {
    expect(() => checkUnitOptions(HELLO)).not.toThrow();
    expect(() => checkUnitOptions(parseUnitFile("[A]\nx=a \\\n b\ny=c \\\n\n[B]\nz=\n[A]\nw=1"))).not.toThrow();
  });
});

function refusal(run: () => unknown): Error {
  try {
    run();
  } catch (error) {
    if (error instanceof Error) {
      return error;
    }
  }
  throw new Error("Expected a refusal");
}

const syntaxSoup = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        "\n",
        "\\\n",
        "\\ \n",
        "\r\n",
        "=",
        "[A]",
        "[",
        "]",
        "#",
        ";",
        " ",
        "\t",
        "x",
        "\\",
        "\u2003",
        "\0",
      ),
      fc.string(),
    ),
  )
  .map((parts) => parts.join(""));

test("property: any text is refused with a line number, or survives writing and reading", () => {
  fc.assert(
    fc.property(syntaxSoup, (text) => {
      let options: readonly UnitOption[];
      try {
        options = parseUnitFile(text);
      } catch (error) {
        expect(error).toBeInstanceOf(UnitFileError);
        return;
      }
      checkUnitOptions(options);
      const written = serializeUnitFile(options);
      expect(serializeUnitFile(parseUnitFile(written))).toBe(written);
      expect(unitHash(parseUnitFile(written))).toBe(unitHash(options));
    }),
    { numRuns: 1000 },
  );
});

test("property: options that are accepted come back in number, order and every byte", () => {
  const option = fc.record({ section: fc.constantFrom("A", "B", "x]"), name: syntaxSoup, value: syntaxSoup });
  fc.assert(
    fc.property(fc.array(option, { maxLength: 4 }), (options) => {
      try {
        checkUnitOptions(options);
      } catch (error) {
        expect(error).toBeInstanceOf(UnitOptionsError);
        return;
      }
      const sections = [...new Set(options.map(({ section }) => section))];
      const merged = sections.flatMap((section) => options.filter((candidate) => candidate.section === section));
      expect(parseUnitFile(serializeUnitFile(options))).toEqual(merged);
    }),
    { numRuns: 1000 },
  );
});

test("property: bytes that are no text are refused, never misread", () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      try {
        parseUnitFile(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(UnitFileError);
      }
    }),
  );
});
