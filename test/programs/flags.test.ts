/** What the tests' own programs make of a command line: each flag, each refusal, the help; and that each of them does ask. */
import { describe, expect, test } from "bun:test";
import {
  chosen,
  helpOf,
  minutes,
  type Program,
  range,
  readFlags,
  text,
  toggle,
  UsageError,
  wholeNumber,
} from "./flags.ts";

const FLAGS = {
  seed: wholeNumber("one", undefined),
  count: wholeNumber("so many", 100, { min: 1, max: 500 }),
  seeds: range("these"),
  minutes: minutes("so long"),
  only: text("words", "WORDS", ""),
  path: text("way", "P", undefined, { form: /^\d+(:\d+)*$/, such: "numbers and colons" }),
  trace: toggle("all of it"),
};

const read = (...words: string[]) => readFlags(FLAGS, words);

describe("a command line", () => {
  test("without flags is what the table falls back on", () => {
    const nothing = { seed: undefined, seeds: undefined, minutes: undefined, path: undefined };
    expect(read()).toEqual({ ...nothing, count: 100, only: "", trace: false });
  });

  test("gives each flag its value, with or without an equals sign", () => {
    expect(read("--seed", "0", "--count=500", "--seeds", "3..3", "--minutes", "0.5", "--only=-x y", "--trace")).toEqual(
      {
        seed: 0,
        count: 500,
        seeds: [3, 3],
        minutes: 0.5,
        only: "-x y",
        path: undefined,
        trace: true,
      },
    );
  });

  test.each([["--help"], ["-h"], ["--seed 1 --help"]])("%s asks for help", (words) => {
    expect(read(...words.split(" "))).toBeNull();
  });

  test.each([
    ["--seed -1", 'Read --seed "-1": it takes a whole number from 0 on'],
    ["--seed=", 'Read --seed "": it takes a whole number from 0 on'],
    ["--seed 1e3", 'Read --seed "1e3": it takes a whole number from 0 on'],
    ["--seed 99999999999999999", 'Read --seed "99999999999999999": it takes a whole number from 0 on'],
    ["--seed", "Read --seed: its value is missing"],
    ["--seed 1 --seed 2", "Read --seed: it is given twice"],
    ["--count 0", 'Read --count "0": it takes a whole number from 1 to 500'],
    ["--count 501", 'Read --count "501": it takes a whole number from 1 to 500'],
    ["--seeds x", 'Read --seeds "x": it takes the first and the last, such as "1..1000"'],
    ["--seeds 1..", 'Read --seeds "1..": it takes the first and the last, such as "1..1000"'],
    ["--seeds 5..1", 'Read --seeds "5..1": it ends before it begins; write it as "1..5"'],
    ["--minutes 0", 'Read --minutes "0": it takes a number of minutes above 0, such as "10" or "0.5"'],
    ["--minutes soon", 'Read --minutes "soon": it takes a number of minutes above 0, such as "10" or "0.5"'],
    ["--path 1:x", 'Read --path "1:x": it takes numbers and colons'],
    ["--trace=3", 'Read --trace "3": it takes no value'],
    ["--sede 1", 'Read "--sede": there is no such flag. Did you mean "--seed"?'],
    ["--toString", 'Read "--toString": there is no such flag'],
    ["-s", 'Read "-s": there is no such flag'],
    ["1..10", 'Read "1..10": only flags are understood here'],
    ["-- --seed", 'Read "--seed": only flags are understood here'],
  ])("%s is refused", (words, message) => {
    expect(() => read(...words.split(" "))).toThrow(new UsageError(message));
  });
});

test("words choose by a part of the name, or the one with just that name", () => {
  const items = [{ name: "peers" }, { name: "dialed peers" }, { name: "flags" }];
  expect(chosen(items, "").length).toBe(3);
  expect(chosen(items, "eers").map(({ name }) => name)).toEqual(["peers", "dialed peers"]);
  expect(chosen(items, "peers").map(({ name }) => name)).toEqual(["peers"]);
  expect(() => chosen(items, "door")).toThrow(/^Read --only "door": .*\n {2}peers\n {2}dialed peers\n {2}flags$/);
});

test("the help has the usage, each flag with what it is without one, and examples", () => {
  const flags = { count: FLAGS.count, trace: FLAGS.trace };
  const program: Program<typeof flags> = {
    name: "bun run it",
    about: "What it does.",
    flags,
    examples: [
      ["", "all"],
      ["--count 5", "five"],
    ],
  };
  expect(helpOf(program)).toBe(`Usage: bun run it [--count N] [--trace]

What it does.

Flags:
  --count N  so many (100)
  --trace    all of it
  --help     this text

Examples:
  bun run it            # all
  bun run it --count 5  # five
`);
});

describe("each program", () => {
  const programs = ["sim", "sim/raft", "sim/bugs", "failpoints", "fuzz"];
  const run = (program: string, ...words: string[]) => {
    const main = Bun.fileURLToPath(new URL(`../${program}/main.ts`, import.meta.url));
    const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, main, ...words], { stdin: "ignore" });
    return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
  };

  test.each(programs)("%s --help", (program) => {
    const { exitCode, stdout, stderr } = run(program, "--help");
    expect([exitCode, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^Usage: bun run \S+ \[--[\s\S]+\nFlags:\n[\s\S]+\nExamples:\n {2}bun run /);
    // Its examples are its own command lines.
    const [, name = ""] = stdout.match(/^Usage: (bun run \S+)/) ?? [];
    const examples = stdout
      .slice(stdout.indexOf("Examples:\n") + 10)
      .trimEnd()
      .split("\n");
    for (const line of examples) expect(line).toStartWith(`  ${name} `);
  });

  test.each(programs)("%s refuses what it does not understand, and runs nothing", (program) => {
    const { exitCode, stdout, stderr } = run(program, "--rubbish");
    expect([exitCode, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/^Read "--rubbish": there is no such flag\nSee: bun run \S+ --help\n$/);
  });

  test.each([
    ["sim", "--seed 1 --seeds 1..2", "Read --seeds: there is --seed, too; give one of them"],
    ["sim", "--without crash,rain", 'Read --without "crash,rain": "rain" is no kind of fault; they are loss, delay'],
    ["sim/raft", "--seed 1 --count 2", "Read --seed: there is --from or --count, too; give the one or the others"],
    ["sim/bugs", "--only nothing-matches", 'Read --only "nothing-matches": no name has these words; the names are\n'],
    ["failpoints", "--only nothing-matches", 'Read --only "nothing-matches": no name has these words; the names are\n'],
    ["fuzz", "--path 1:2", "Read --path: it leads to a case of one target and one seed; give --only and --seed, too"],
  ])("%s %s", (program, words, message) => {
    const { exitCode, stdout, stderr } = run(program, ...words.split(" "));
    expect([exitCode, stdout]).toEqual([2, ""]);
    expect(stderr).toStartWith(message);
  });
});
