/**
 * flt top: what units and machines use, refreshed in place on a terminal, once elsewhere.
 *
 * Idea. One stream of samples for everything that is shown; the machines take them only while this command reads. Rates come from two
 * samples, so that even a single picture takes one interval.
 *
 * @module
 */
import type { Timer } from "../../lib/clock.ts";
import { mangleUnitName } from "../../model/unit-name.ts";
import { isUnitPattern, unitSelector } from "../../model/unit-pattern.ts";
import { USAGE_INTERVAL_MAX_MS, USAGE_INTERVAL_MIN_MS } from "../../model/usage.ts";
import { CliError, type Command, type CommandContext, EXIT_OK } from "../command.ts";
import { Screen, type ScreenLine } from "../top/screen.ts";
import { UsageBook } from "../top/usage-book.ts";
import { SORT_KEYS, type SortKey, sortUnits, type UsagePicture, usageJson, usageLines } from "../top/usage-view.ts";
import { machineFilter } from "./filters.ts";
import { MACHINE_FILTER_FLAG } from "./shared-flags.ts";

export const top: Command = {
  name: "top",
  usage: "[-b|--batch] [-n|--iterations=N] [-d|--delay=SECONDS] [--sort=KEY] [-o FORMAT] [-M ID] [UNIT|PATTERN...]",
  summary: "Show what units and machines use: CPU, memory, tasks",
  description:
    "The figures are systemd's own accounting; CPU% is of one processor, and a machine's figures are those of everything on it. On a terminal the " +
    `picture is refreshed until q is typed; c, m, t and n sort by CPU, memory, tasks and name. Elsewhere, or with --batch, it is printed once, ` +
    'or --iterations times, after one interval. "-" stands for what systemd does not account for there. As data: cpu in percent, cpuNs, memory in ' +
    "bytes, null for what is not known.",
  examples: ["top", "top --sort=memory 'web@*'", "top -n 1", "top -b -d 5 -n 12 -M 113f16a7", "top -n 1 -o json"],
  flags: [
    { name: "batch", short: "b", fallback: "false", help: "Print, also on a terminal" },
    { name: "iterations", short: "n", value: "N", fallback: "1", help: "How many pictures to print; 0: until Ctrl-C" },
    { name: "delay", short: "d", value: "SECONDS", fallback: "2", help: "From one picture to the next" },
    {
      name: "sort",
      value: "KEY",
      fallback: "cpu",
      help: `Order of the units: ${SORT_KEYS.join(", ")}`,
      choices: SORT_KEYS,
    },
    {
      name: "output",
      short: "o",
      value: "FORMAT",
      fallback: "text",
      help: "text, json (one object a picture, on one line)",
      choices: ["text", "json"],
    },
    { name: "full", short: "l", fallback: "false", help: "Show ids of machines in full" },
    MACHINE_FILTER_FLAG,
  ],
  async run(context) {
    const wish = readWish(context);
    const { flags, world } = context;
    const isScreen =
      world.terminal.stdout && !flags.isOn("batch") && !flags.isGiven("iterations") && !flags.isGiven("output");
    const machines = await context.client.machines(world.signal);
    const ids = [...(machineFilter(context, machines) ?? [])];
    const watched = ids.length === 0 ? machines.map(({ id }) => id) : ids;
    return await (isScreen ? runScreen(context, wish, ids) : runBatch(context, wish, ids, watched));
  },
};

interface Wish {
  readonly sort: SortKey;
  readonly delayMs: number;
  /** 0: without end. */
  readonly iterations: number;
  readonly isJson: boolean;
  /** Names and patterns; none: all. */
  readonly units: readonly string[];
}

function readWish({ args, flags }: CommandContext): Wish {
  const sort = SORT_KEYS.find((key) => key === flags.text("sort"));
  if (sort === undefined)
    throw new CliError(`Cannot sort by "${flags.text("sort")}": use one of ${SORT_KEYS.join(", ")}`);
  const delayMs = flags.secondsMs("delay");
  if (delayMs < USAGE_INTERVAL_MIN_MS || delayMs > USAGE_INTERVAL_MAX_MS) {
    const [least, most] = [USAGE_INTERVAL_MIN_MS / 1_000, USAGE_INTERVAL_MAX_MS / 1_000];
    throw new CliError(`Cannot use --delay=${flags.text("delay")}: use ${least} to ${most} seconds`);
  }
  const output = flags.text("output");
  if (output !== "text" && output !== "json") throw new CliError(`Unknown output "${output}": use text or json`);
  const units = args.map((arg) => (isUnitPattern(arg) ? arg : mangleUnitName(arg)));
  for (const unit of units) unitSelector(unit);
  return {
    sort,
    delayMs: Math.round(delayMs),
    iterations: flags.count("iterations"),
    isJson: output === "json",
    units,
  };
}

function pictureOf(book: UsageBook, sort: SortKey): UsagePicture {
  return {
    machines: book.machines(),
    units: sortUnits(book.units(), sort),
  };
}

/** Machines that answer late are not waited for longer than this. */
const PATIENCE_MS = 5_000;

async function runBatch(
  context: CommandContext,
  wish: Wish,
  ids: readonly string[],
  watched: readonly string[],
): Promise<number> {
  const { clock, signal, out } = context.world;
  const book = new UsageBook(wish.delayMs);
  let printed = 0;
  const print = (): void => {
    book.forgetStale(clock.now());
    const picture = pictureOf(book, wish.sort);
    const { machines, units } = usageLines(picture, context.flags.isOn("full"));
    const text = wish.isJson ? usageJson(picture) : [...machines, "", ...units].join("\n");
    out(`${printed > 0 && !wish.isJson ? "\n" : ""}${text}\n`);
    printed += 1;
  };
  const end = new AbortController();
  const isDone = (): boolean => wish.iterations > 0 && printed >= wish.iterations;
  let timer: Timer | null = null;
  const tick = (): void => {
    print();
    timer = isDone() ? null : clock.after(wish.delayMs, tick);
    if (isDone()) end.abort();
  };
  timer = clock.after(wish.delayMs + PATIENCE_MS, tick);
  if (watched.length === 0) tick();
  try {
    for await (const event of context.client.usage(usageRequest(wish, ids), AbortSignal.any([signal, end.signal]))) {
      book.take(event, clock.now());
      if (printed > 0 || !watched.every((id) => book.isSettled(id))) continue;
      timer?.cancel();
      tick();
    }
  } catch (error) {
    if (!end.signal.aborted || signal.aborted) throw error;
  } finally {
    (timer as Timer | null)?.cancel();
  }
  return EXIT_OK;
}

/** A redraw for each machine's sample would be many. */
const DRAW_AFTER_MS = 100;
const SORT_BY_KEY: Readonly<Record<string, SortKey>> = { c: "cpu", m: "memory", t: "tasks", n: "name" };
const QUIT_KEYS = new Set(["q", "\x03", "\x04"]);

async function runScreen(context: CommandContext, wish: Wish, ids: readonly string[]): Promise<number> {
  const { clock, signal, terminal } = context.world;
  const book = new UsageBook(wish.delayMs);
  const end = new AbortController();
  const screen = new Screen(context);
  let sort = wish.sort;
  let timer: Timer | null = null;
  const draw = (): void => {
    timer?.cancel();
    timer = null;
    book.forgetStale(clock.now());
    const { machines, units } = usageLines(pictureOf(book, sort), context.flags.isOn("full"));
    const headed = (lines: readonly string[]): ScreenLine[] =>
      lines.map((text, at) => ({ text, tone: at === 0 ? "bold" : null }));
    screen.draw(
      [...headed(machines), { text: "", tone: null }, ...headed(units)],
      `by ${sort}   q quit  c cpu  m memory  t tasks  n name`,
    );
  };
  const onKey = (key: string): void => {
    if (QUIT_KEYS.has(key)) end.abort();
    const chosen = SORT_BY_KEY[key];
    if (chosen === undefined) return;
    sort = chosen;
    draw();
  };
  const over = AbortSignal.any([signal, end.signal]);
  try {
    terminal.readKeys(onKey, over);
    draw();
    for await (const event of context.client.usage(usageRequest(wish, ids), over)) {
      book.take(event, clock.now());
      timer ??= clock.after(DRAW_AFTER_MS, draw);
    }
  } catch (error) {
    if (!end.signal.aborted || signal.aborted) throw error;
  } finally {
    (timer as Timer | null)?.cancel();
    // Lets go of the keyboard, whatever the reason.
    end.abort();
    screen.close();
  }
  return EXIT_OK;
}

function usageRequest({ units, delayMs }: Wish, machines: readonly string[]) {
  return { machines, units, intervalMs: delayMs };
}
