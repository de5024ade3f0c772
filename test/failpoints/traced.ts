/**
 * Scenarios below SQLite: a system call on one of the member's files kills it, or fails.
 *
 * @module
 */
import { eventually, sleep } from "../hosts/lib/wait.ts";
import type { Member } from "./cluster.ts";
import { endOf, LAST_LINE, type Order, REACHED_MS, type Scenario, target } from "./scenarios.ts";
import { type Call, type DataFile, type Injection, Tracer } from "./tracer.ts";

/** How long a disk goes on failing, or being full. */
const LASTS_MS = 300;

/** A name is "CALL FILE": "sync log". */
function injection({ name, pass, action }: Order): Injection {
  const [call, file] = name.split(" ") as [Call, DataFile];
  if (action === "kill") return { call, file, effect: "signal=KILL", when: String(pass) };
  return { call, file, effect: `error=${action}`, when: action === "ENOSPC" ? "1+" : String(pass) };
}

async function traced(member: Member, order: Order, act: (tracer: Tracer) => Promise<void>): Promise<Member> {
  const tracer = await Tracer.attach(member.pid, member.directory, injection(order));
  try {
    await act(tracer);
  } finally {
    await tracer.detach();
  }
  return member;
}

/** Writers lead there; the process is killed, or ends by itself with the reason as its last line. */
export const tracedLoad: Scenario = async (round, order) => {
  const member = await target(round);
  return await traced(member, order, (tracer) => endAt(tracer, member, order));
};

async function endAt(tracer: Tracer, member: Member, order: Order): Promise<void> {
  const { signal, status, said } = await endOf(member, order);
  const isKilled = order.action === "kill" && signal === "SIGKILL";
  if (!isKilled && !(order.action === "EIO" && status === 1 && LAST_LINE.test(said) && tracer.injected > 0)) {
    throw new Error(`End at "${order.name}": signal ${signal}, status ${status}: ${said.slice(-1000)}`);
  }
}

/** An orderly end, in which SQLite copies its log into the database. */
export const tracedStop: Scenario = async (round, order) => {
  const member = await target(round);
  return await traced(member, order, async () => {
    const { signal, status, said } = await member.kill("SIGTERM");
    if (order.action === "kill" ? signal === "SIGKILL" : status === 0 || LAST_LINE.test(said)) return;
    throw new Error(`End at "${order.name}": signal ${signal}, status ${status}: ${said.slice(-1000)}`);
  });
};

/** The call fails, or finds no room, for a while; the process lives on, and is killed at some time later. */
export const tracedSurvival: Scenario = async (round, order) => {
  const member = await target(round);
  await traced(member, order, async (tracer) => {
    await eventually(`"${order.name}" to fail`, REACHED_MS, () => !member.isUp || tracer.injected > 0);
    await sleep(LASTS_MS);
  });
  if (!member.isUp) throw new Error(`Survive "${order.name}": ${(await member.ended).said.slice(-1000)}`);
  await eventually("a disk that takes entries again", REACHED_MS, async () => !(await member.state()).diskFull);
  await sleep(LASTS_MS);
  await member.kill();
  return member;
};
