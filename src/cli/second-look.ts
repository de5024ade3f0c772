/**
 * A second look at services that have just been started: do they still run?
 *
 * Problem. Where a service's Type= is simple, systemd's job is done as soon as the process is there, before it has executed anything. Of one that dies
 * at once the first report says that it runs, or that it has failed, as chance has it.
 * Idea. Its machine's systemd is asked once more before it is called launched. The question starts a process over there, after the
 * service's own was started, and PID 1 hears of children that ended before it reads questions: what dies at once has died by then, but for one
 * in some thirty on a host whose processors are all taken (three in four were called launched before). No time is waited for, and who
 * runs on is not held up by more than the answer takes.
 *
 * Not here. A service that dies later: Type=notify or exec tell systemd, and so flt, when it is up.
 *
 * @module
 */
import { ClientError } from "../client/index.ts";
import { textLines } from "../lib/lines.ts";
import type { CommandContext } from "./command.ts";
import { failedOn, type Goal } from "./goals.ts";
import type { UnitPicture } from "./picture.ts";

/** Started together: of more than these the last ones' reports come after the first ones' deaths, and each question costs a process. */
export const SECOND_LOOKS_MAX = 8;
/** A machine that does not answer has at least said that the unit was launched. */
const PATIENCE_MS = 2_000;
const LINE_MAX_LENGTH = 4_096;

/** Why the unit is not launched after all; null: it runs, or nothing else is known. */
export async function secondLook(context: CommandContext, goal: Goal, picture: UnitPicture): Promise<string | null> {
  const state = picture.states.get(picture.unit?.machine?.id ?? "");
  if (goal.target !== "launched" || state?.report.sub !== "running" || !goal.name.endsWith(".service")) return null;
  const now = await askAgain(context, goal.name, state.machine.id);
  if (now.get("ActiveState") !== "failed") return null;
  const result = now.get("Result");
  return failedOn({
    ...state,
    report: { ...state.report, active: "failed", sub: now.get("SubState") ?? "failed", ...(result && { result }) },
  });
}

async function askAgain(
  { client, world }: CommandContext,
  name: string,
  machineId: string,
): Promise<ReadonlyMap<string, string>> {
  const limit = new AbortController();
  const timer = world.clock.after(PATIENCE_MS, () => limit.abort());
  const properties = new Map<string, string>();
  try {
    const signal = AbortSignal.any([world.signal, limit.signal]);
    const chunks = client.properties(name, machineId, ["ActiveState", "SubState", "Result"], signal);
    const endless = (): Error =>
      new ClientError("bad-answer", `Asking for the state of ${name} failed: a line has no end`);
    for await (const text of textLines(chunks, LINE_MAX_LENGTH, endless)) {
      const equals = text.indexOf("=");
      properties.set(text.slice(0, equals), text.slice(equals + 1));
    }
  } catch (error) {
    // By then it was launched; a daemon of another release, or none in between, cannot be asked for more.
    if (!(error instanceof ClientError) || world.signal.aborted) throw error;
  } finally {
    timer.cancel();
  }
  return properties;
}
