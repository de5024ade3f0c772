/**
 * A failpoint inside the process under test: code passes it by name, and at the pass that was ordered it kills or fails.
 *
 * Idea. What is ordered comes at the start in FLT_FAILPOINT, `name:k:action` with commas between several, or later through `arm`.
 * Before it acts it says so on stderr, so that whoever ordered it can tell its kill from another's.
 *
 * Invariants.
 * - `kill` is SIGKILL to itself: nothing after the point runs on this thread.
 * - An order is carried out once; one whose k is `all` until `disarm`.
 *
 * @module
 */
import { writeSync } from "node:fs";

const STDERR = 2;
const ACTIONS = ["kill", "EIO", "ENOSPC"] as const;
export type Action = (typeof ACTIONS)[number];
export type Failure = Exclude<Action, "kill">;

interface Order {
  readonly action: Action;
  /** The pass at which it is carried out, counted from the order on; 0: every one. */
  readonly pass: number;
  passed: number;
}

const orders = new Map<string, Order>();
for (const word of (process.env.FLT_FAILPOINT ?? "").split(",")) if (word !== "") arm(word);

export function arm(word: string): void {
  const [name = "", pass = "", action = ""] = word.split(":");
  const known = ACTIONS.find((one) => one === action);
  if (name === "" || known === undefined) throw new Error(`Arm a failpoint: "${word}" is not name:k:action`);
  orders.set(name, { action: known, pass: pass === "all" ? 0 : Number(pass), passed: 0 });
}

export function disarm(): void {
  orders.clear();
}

/** @param failed Makes the error that the code behind the point would see. */
export function pass(name: string, failed: (failure: Failure) => Error = systemError): void {
  const order = orders.get(name);
  if (order === undefined) return;
  order.passed += 1;
  if (order.pass !== 0 && order.passed !== order.pass) return;
  if (order.pass !== 0 || order.passed === 1) writeSync(STDERR, `failpoint ${name}: ${order.action}\n`);
  if (order.pass !== 0) orders.delete(name);
  if (order.action === "kill") process.kill(process.pid, "SIGKILL");
  else throw failed(order.action);
}

/** The next pass is the one at which it acts: what a write leaves behind there is left at that one only. */
export function isDue(name: string): boolean {
  const order = orders.get(name);
  return order !== undefined && (order.pass === 0 || order.passed + 1 === order.pass);
}

export function systemError(code: Failure): Error {
  return Object.assign(new Error(`${code}: injected`), { code });
}
