/**
 * The clients of the linearizability test, in a process of their own in the namespace of the hosts' bridge: so many operations a second
 * on a few registers at a time, each through some member, whatever becomes of the others.
 *
 * Idea. A register serves for a while and is left for a new one: its history stays short enough for a judge that searches. A member
 * that answers no change is still asked for what it knows, all the time: it is then that it might tell old news. One clock for all moments.
 *
 * Usage: bun clients.ts OPTIONS-AS-JSON; one line on stdout for each operation that ended, until stdin ends.
 *
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Action } from "../../sim/check/linearizable.ts";
import { type Member, type Outcome, Registers } from "./register.ts";

export interface ClientsOptions {
  readonly members: readonly Member[];
  readonly operationsPerSecond: number;
}

/** One operation that ended. */
export interface Ended extends Outcome {
  readonly key: string;
  readonly via: string;
  readonly callAt: number;
  readonly endAt: number;
}

/** At each member. More than can gather there while it stands still: an operation is given up after four seconds. */
const IN_FLIGHT_MAX = 400;
/** fetch keeps 256 requests in flight, all members taken together, unless the environment says otherwise. */
export const CLIENTS_ENVIRONMENT = { BUN_CONFIG_MAX_HTTP_REQUESTS: "1024" };
const KEYS = 12;
const OPERATIONS_PER_KEY = 120;

/** Which register is whose turn, what was last seen there, and the next value that nobody wrote yet. */
class Turns {
  readonly #keys: { name: string; left: number; seen: string | null }[] = [];
  #names = 0;
  #values = 0;

  next(): { readonly name: string; left: number; seen: string | null } {
    const at = Math.floor(Math.random() * KEYS);
    let key = this.#keys[at];
    if (key === undefined || key.left === 0) {
      this.#names += 1;
      key = { name: `register-${this.#names}.service`, left: OPERATIONS_PER_KEY, seen: null };
      this.#keys[at] = key;
    }
    key.left -= 1;
    return key;
  }

  value(): string {
    this.#values += 1;
    return `v${this.#values}`;
  }
}

function seenIn(action: Action): string | null {
  if (action.kind === "read") return action.found;
  if (action.kind === "swap" && action.done === false) return action.found ?? null;
  return action.value;
}

async function operate(registers: Registers, turns: Turns, member: Member): Promise<void> {
  const key = turns.next();
  const dice = Math.random();
  const { name, seen } = key;
  const callAt = performance.now();
  let outcome: Outcome;
  if (dice < 0.5) outcome = await registers.read(member, name);
  else if (dice < 0.7 && seen !== null) outcome = await registers.swap(member, name, seen, turns.value());
  else if (dice < 0.75) outcome = await registers.remove(member, name);
  else outcome = await registers.write(member, name, turns.value());
  const ended: Ended = { ...outcome, key: name, via: member.name, callAt, endAt: performance.now() };
  if (outcome.fate === "done" && outcome.action !== null) key.seen = seenIn(outcome.action);
  console.log(JSON.stringify(ended));
}

if (import.meta.main) {
  const { members, operationsPerSecond } = JSON.parse(process.argv[2] ?? "") as ClientsOptions;
  const registers = new Registers(members);
  const turns = new Turns();
  const flying = new Map(members.map((member) => [member, new Set<Promise<void>>()]));
  let isOver = false;
  process.stdin.on("end", () => {
    isOver = true;
  });
  process.stdin.resume();
  for (let dueAt = performance.now(); !isOver; dueAt += 1_000 / operationsPerSecond) {
    await sleep(Math.max(0, dueAt - performance.now()));
    const free = [...flying].filter(([, flights]) => flights.size < IN_FLIGHT_MAX);
    const [member, flights] = free[Math.floor(Math.random() * free.length)] ?? [];
    if (member === undefined || flights === undefined) continue;
    const flight = operate(registers, turns, member).finally(() => flights.delete(flight));
    flights.add(flight);
  }
  await Promise.all([...flying.values()].flatMap((flights) => [...flights]));
  registers.close();
}
