/** What somebody who waits for many seeds is told, and what Ctrl-C leaves. */
import { describe, expect, test } from "bun:test";
import { Progress } from "./progress.ts";

/** Each seed lives 36 s and takes a second, of which half is the processor's. */
function told(
  isTerminal: boolean,
  seeds: number | null,
  endMs: number,
): { texts: string[]; live: () => void; clear: () => void } {
  const texts: string[] = [];
  let nowMs = 5_000;
  const progress = new Progress({
    seeds,
    seedMs: 36_000,
    endMs,
    isTerminal,
    write: (text) => texts.push(text),
    nowMs: () => nowMs,
    cpuMs: () => nowMs / 2,
  });
  const live = () => {
    nowMs += 1_000;
    progress.seedDone(nowMs === 7_000);
  };
  return { texts, live, clear: () => progress.clear() };
}

describe("progress", () => {
  test("in a log: a line every 30 s, with what is done, failed, how fast, and how long yet", () => {
    const { texts, live, clear } = told(false, 1_000, Number.POSITIVE_INFINITY);
    for (let i = 0; i < 29; i++) live();
    expect(texts).toEqual([]);
    for (let i = 0; i < 31; i++) live();
    clear();
    expect(texts).toEqual([
      "30 of 1000 seeds, 1 failed; 72 simulated hours per core hour; 16 min to go\n",
      "60 of 1000 seeds, 1 failed; 72 simulated hours per core hour; 16 min to go\n",
    ]);
  });

  test("on a terminal: one line, written anew, and gone when something else is to be printed", () => {
    const { texts, live, clear } = told(true, 4, Number.POSITIVE_INFINITY);
    clear();
    live();
    live();
    clear();
    clear();
    expect(texts).toEqual([
      "\r\x1b[K1 of 4 seeds, 0 failed; 72 simulated hours per core hour; 3 s to go",
      "\r\x1b[K2 of 4 seeds, 1 failed; 72 simulated hours per core hour; 2 s to go",
      "\r\x1b[K",
    ]);
  });

  test("with a deadline: until that, whichever seed it is", () => {
    const { texts, live } = told(true, null, 65_000);
    live();
    expect(texts.at(-1)).toEndWith("K1 seeds, 0 failed; 72 simulated hours per core hour; 59 s to go");
  });
});

describe.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)("%s", (signal, code) => {
  test.each([
    [
      "main.ts",
      ["--seeds", "1..100000"],
      /^(\d+) seeds from 1, 0 failed; [\s\S]+simulated hours per core hour\nFaults[\s\S]+\nSeen: /,
    ],
    ["raft/main.ts", ["--count", "100000"], /^(\d+) seeds from 1: 0 failed\n$/],
  ])(
    "ends %s after the seed under way, with the sums so far",
    async (file, words, sums) => {
      const main = Bun.fileURLToPath(new URL(file, import.meta.url));
      const child = Bun.spawn([process.execPath, main, ...words], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
      const errors = child.stderr.getReader();
      // What it says before the first seed.
      expect(new TextDecoder().decode((await errors.read()).value)).toBe("seeds 1 to 100000\n");
      child.kill(signal);
      const [told] = await Promise.all([child.stdout.text(), errors.read()]);
      expect([await child.exited, told]).toEqual([code, expect.stringMatching(sums)]);
      expect(Number(told.match(sums)?.[1])).toBeGreaterThan(0);
    },
    60_000,
  );
});
