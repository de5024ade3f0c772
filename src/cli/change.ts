/**
 * Changing many units at once and waiting for all of them on one stream.
 *
 * Idea. All changes go out in one request, or few; then the goals are looked at whenever the picture changes.
 * Each unit ends with one line: where it is, or why not.
 *
 * @module
 */
import type { UnitBatchItemEntity } from "../model/entities.ts";
import { CliError, type CommandContext, EXIT_FAILED, EXIT_OK, line, note } from "./command.ts";
import type { Goal } from "./goals.ts";
import { machineLegend } from "./legend.ts";
import { WaitLine } from "./output/wait-line.ts";
import type { UnitPicture } from "./picture.ts";
import { SECOND_LOOKS_MAX, secondLook } from "./second-look.ts";
import type { UnitWatch } from "./watch.ts";

const NOT_FOUND = 404;

/** One attempt of --block-attempts: fleet's client slept this long between two looks. */
const ATTEMPT_MS = 2_000;

/** How long to wait, from --no-block and --block-attempts: null: not at all; Infinity: for ever. */
export function patienceMs(context: CommandContext): number | null {
  if (context.flags.isOn("no-block")) return null;
  const attempts = context.flags.count("block-attempts");
  return attempts === 0 ? Number.POSITIVE_INFINITY : attempts * ATTEMPT_MS;
}

/** What is to be done with a unit, as a PUT of it would say it, or its removal. */
export type Change = Omit<UnitBatchItemEntity, "name">;

export interface SendOptions<T> {
  /** As in "Error starting unit X". */
  readonly doing: string;
  readonly change: (item: T) => Change;
  /** Told of an item that went through, with the store's revision if the daemon says it. */
  readonly onDone?: (item: T, revision: number | undefined) => void;
  /** Told of an item that the cluster does not have; without it that is a failure. */
  readonly onUnknown?: (item: T) => void;
}

/**
 * Sends all in as few requests as there can be; returns the items that went through. Each failure is told. After Ctrl-C what
 * is under way is still heard out, so that its fate is known, and nothing new is begun.
 */
export async function sendAll<T extends { readonly name: string }>(
  context: CommandContext,
  items: readonly T[],
  { doing, change, onDone, onUnknown }: SendOptions<T>,
): Promise<T[]> {
  if (items.length === 0) return [];
  const { client, world } = context;
  const changes = items.map((item) => ({ ...change(item), name: item.name }));
  const outcomes = await client.changeUnits(changes, world.signal);
  const sent: T[] = [];
  const failures = new Map<string, string[]>();
  const notSent: string[] = [];
  for (const [index, item] of items.entries()) {
    const outcome = outcomes[index];
    if (outcome?.kind === "done") {
      sent.push(item);
      onDone?.(item, outcome.revision);
    } else if (outcome?.kind !== "failed") notSent.push(item.name);
    else if (outcome.error.status === NOT_FOUND && onUnknown !== undefined) onUnknown(item);
    else failures.set(outcome.error.message, [...(failures.get(outcome.error.message) ?? []), item.name]);
  }
  for (const [message, names] of failures) {
    const which = names.length === 1 ? `unit ${names[0]}` : `units ${bracketed(names)}`;
    note(context, `Error ${doing} ${which}: ${message}`);
  }
  if (notSent.length > 0) {
    const why = world.signal.aborted ? "Interrupted: nothing" : "Nothing";
    note(context, `${why} was asked of ${bracketed(notSent)}`);
  }
  return sent;
}

export interface WaitOptions {
  readonly patienceMs: number;
  /** Names of goals whose success is not worth a line: nothing was changed. */
  readonly quiet?: ReadonlySet<string>;
}

/** Waits for every goal; returns the exit status. */
export async function waitForGoals(
  context: CommandContext,
  watch: UnitWatch,
  goals: readonly Goal[],
  options: WaitOptions,
): Promise<number> {
  const pending = new Map(goals.map((goal) => [goal.name, goal]));
  const waitLine = new WaitLine(context, () => waitedFor([...pending.keys()], goals.length));
  try {
    return await waitForPending(context, watch, pending, options);
  } finally {
    waitLine.end();
  }
}

const NAMES_IN_WAIT_LINE = 3;

function waitedFor(names: readonly string[], total: number): string {
  const shown = names.slice(0, NAMES_IN_WAIT_LINE).join(", ");
  const rest = names.length > NAMES_IN_WAIT_LINE ? ", …" : "";
  return `Waiting for ${total === 1 ? "" : `${names.length} of ${total} units: `}${shown}${rest}`;
}

/** Takes from `pending` what is done. */
async function waitForPending(
  context: CommandContext,
  watch: UnitWatch,
  pending: Map<string, Goal>,
  options: WaitOptions,
): Promise<number> {
  const explained = new Map<string, string>();
  const looksTwice = pending.size <= SECOND_LOOKS_MAX;
  const { clock } = context.world;
  const deadlineMs = clock.now() + options.patienceMs;
  let status = EXIT_OK;
  let isFirst = true;
  let news: ReadonlySet<string> = new Set(pending.keys());
  for (;;) {
    const nowMs = clock.now();
    const reached: Reached[] = [];
    for (const name of news) {
      const goal = pending.get(name);
      if (goal === undefined) continue;
      const picture = watch.picture.get(name);
      const outcome = goal.evaluate(picture, nowMs);
      if (outcome.kind === "waiting") {
        explain(context, picture, explained);
        continue;
      }
      pending.delete(name);
      if (outcome.kind === "failed") {
        note(context, outcome.message);
        status = EXIT_FAILED;
      } else if (isFirst && options.quiet?.has(name) === true) remarkIdle(context, picture);
      else reached.push({ goal, picture, line: outcome.line });
    }
    if ((await sayReached(context, reached, looksTwice)) === EXIT_FAILED) status = EXIT_FAILED;
    isFirst = false;
    if (pending.size === 0) return status;
    if (nowMs >= deadlineMs) return timedOut(context, pending);
    try {
      news = await nextNews(watch, [...pending.values()], nowMs, deadlineMs);
    } catch (error) {
      note(
        context,
        `Stopped waiting for ${bracketed([...pending.keys()])}: what was asked for goes on without this command`,
      );
      throw error;
    }
  }
}

interface Reached {
  readonly goal: Goal;
  readonly picture: UnitPicture;
  readonly line: string;
}

/** Their success lines, but for those that a second look finds dead. */
async function sayReached(context: CommandContext, reached: readonly Reached[], looksTwice: boolean): Promise<number> {
  const looks = reached.map(({ goal, picture }) => (looksTwice ? secondLook(context, goal, picture) : null));
  let status = EXIT_OK;
  for (const [index, death] of (await Promise.all(looks)).entries()) {
    if (death === null) line(context, reached[index]?.line ?? "");
    else {
      note(context, death);
      status = EXIT_FAILED;
    }
  }
  return status;
}

/** What was wanted is wanted already, but does not run: nothing was changed, and that may not be what was meant. fleet says nothing. */
function remarkIdle(context: CommandContext, { name, unit, states }: UnitPicture): void {
  const state = states.get(unit?.machine?.id ?? "");
  if (context.isFleetctl || state?.report.jobState !== "launched" || state.report.active !== "inactive") return;
  const where = machineLegend(state.machine.id, state.machine.primaryIP);
  note(
    context,
    `Unit ${name} is launched already, and inactive on ${where}: \`${context.program} restart ${name}\` starts it again`,
  );
}

/** What changed; all pending names when a moment has come at which an outcome may change by itself. */
async function nextNews(
  watch: UnitWatch,
  pending: readonly Goal[],
  nowMs: number,
  deadlineMs: number,
): Promise<ReadonlySet<string>> {
  let untilMs = deadlineMs;
  for (const goal of pending) untilMs = Math.min(untilMs, goal.recheckAtMs(nowMs) ?? untilMs);
  const news = await watch.news(Number.isFinite(untilMs) ? untilMs : null);
  return news ?? new Set(pending.map((goal) => goal.name));
}

function timedOut(context: CommandContext, pending: ReadonlyMap<string, Goal>): number {
  for (const goal of pending.values()) {
    note(
      context,
      `Error waiting for units: timed out waiting for unit ${goal.name} to report state ${goal.desiredState}`,
    );
  }
  return EXIT_FAILED;
}

/** Says once, and again when it changes, why a unit is not placed. */
function explain(context: CommandContext, picture: UnitPicture, explained: Map<string, string>): void {
  const { name, unit, reasons } = picture;
  if (unit === null || unit.machine !== undefined || unit.desiredState === "inactive" || reasons.length === 0) return;
  const text = reasonLines(reasons);
  if (explained.get(name) === text) return;
  explained.set(name, text);
  note(context, `Unit ${name} cannot be placed yet:\n${text}`);
}

export function reasonLines(reasons: UnitPicture["reasons"]): string {
  return reasons
    .map(({ machine, reason }) => {
      return machine === undefined ? `  ${reason}` : `  ${machineLegend(machine.id, machine.primaryIP)}: ${reason}`;
    })
    .join("\n");
}

/** [X Y], as fleet prints lists of units. */
export function bracketed(names: readonly string[]): string {
  return `[${names.join(" ")}]`;
}

export function refuseSigning(context: CommandContext): void {
  if (context.flags.isOn("sign")) throw new SigningError();
}

/** fleet took signing out and kept the flag: exit status 2. */
export class SigningError extends CliError {
  constructor() {
    super("Signed units are gone: --sign and verify cannot be used");
  }
}
