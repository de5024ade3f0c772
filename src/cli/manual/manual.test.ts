/**
 * The manual has a page for every command and says what the tables say; groff, where there is one, finds nothing to warn of.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { CONFIG_KEYS } from "../../config/table.ts";
import { COMMANDS } from "../commands/index.ts";
import { GLOBAL_FLAGS } from "../global-flags.ts";
import { manualPages } from "./index.ts";
import { asRoff, renderPage, verbatim } from "./roff.ts";

const PAGES = new Map(manualPages(COMMANDS, "1.2.3").map((page) => [page.fileName, page.roff]));
const GROFF = Bun.which("groff");

/** The page as a reader sees it, on one line, so that line breaks hide nothing. */
function shown(fileName: string): string {
  const { stdout, stderr } = Bun.spawnSync(["groff", "-man", "-Tascii", "-P-cbou", "-ww", "-rLL=200n"], {
    stdin: Buffer.from(PAGES.get(fileName) ?? ""),
  });
  expect([fileName, stderr.toString()]).toEqual([fileName, ""]);
  return stdout.toString().replaceAll(/\s+/g, " ");
}

test("a page for each command, one for all of them, one for the daemon, its file, and unit files", () => {
  const names = COMMANDS.map(({ name }) => `flt-${name}.1`);
  for (const { name, examples, description } of COMMANDS) {
    expect([name, examples.length > 0, description.length > 0]).toEqual([name, true, true]);
    for (const example of examples) expect(example.split(" ")[0]).toBe(name);
  }
  expect([...PAGES.keys()].sort()).toEqual(["flt.1", ...names, "flt-daemon.8", "flt.conf.5", "flt.unit.5"].sort());
});

describe.skipIf(GROFF === null)("as groff sets them", () => {
  test("every page: no warning, and the headings that a reader looks for", () => {
    for (const [fileName, roff] of PAGES) {
      expect(shown(fileName)).toMatch(/NAME .* SYNOPSIS .* DESCRIPTION .* OPTIONS .* EXAMPLES .* SEE ALSO/);
      expect(roff).toMatch(/^[\x20-\x7e\n]+$/);
    }
  });

  test("flt-COMMAND(1): usage, description, flags, examples, word by word", () => {
    for (const command of COMMANDS) {
      const page = shown(`flt-${command.name}.1`);
      const said = [
        `flt ${command.name} ${command.usage}`,
        command.description,
        ...command.flags.map(({ help }) => help),
      ];
      for (const words of [...said, ...command.examples.map((example) => `flt ${example}`)]) {
        expect(page).toContain(words.replaceAll("…", "...").replaceAll(/\s+/g, " ").trim());
      }
      for (const flag of command.flags) expect(page).toContain(`--${flag.name}`);
    }
  });

  test("flt(1) has every command and every global option; flt-daemon(8) and flt.conf(5) every option", () => {
    const overview = shown("flt.1");
    for (const { name, summary } of COMMANDS)
      expect([overview.includes(` ${name} `), overview.includes(summary)]).toEqual([true, true]);
    for (const { name } of GLOBAL_FLAGS) expect(overview).toContain(`--${name}`);
    const file = shown("flt.conf.5");
    for (const key of CONFIG_KEYS) expect(file).toContain(key);
    expect(shown("flt-daemon.8")).toContain("--agent-ttl DURATION");
  });
});

describe("asRoff", () => {
  test("nothing that a text holds is an order", () => {
    expect(asRoff(".TH")).toBe("\\&.TH");
    expect(asRoff("'x")).toBe("\\(aqx");
    expect(asRoff("a\\fB -b")).toBe("a\\efB \\-b");
    expect(asRoff("UNIT… “x” ü 😀")).toBe('UNIT... "x" \\[u00FC] \\[u1F600]');
    expect(asRoff("two\n  lines")).toBe("two lines");
  });

  test.skipIf(GROFF === null)("and a page of them is shown as it was written", () => {
    const lines = [".so /etc/passwd", "\\fBbold\\*(xx", "'br", "a -b --c ~ ^ ` ' \" \\", "..", "\\."];
    const page = { name: "x", section: 1, summary: "s", synopsis: ["x"], seeAlso: ["y(1)"] } as const;
    const roff = renderPage({ ...page, sections: [{ title: "T", blocks: [verbatim(...lines)] }] }, "1");
    const { stdout } = Bun.spawnSync(["groff", "-man", "-Tascii", "-P-cbou", "-ww"], { stdin: Buffer.from(roff) });
    for (const line of lines) expect(stdout.toString()).toContain(`${line}\n`);
  });
});
