/**
 * Bus: one connection to systemd, over the system bus or over PID 1's private socket.
 *
 * Problem. dbus-next never settles a call whose connection is gone, and speaks only to buses. dbus-daemon refuses more
 * than 128 outstanding calls of one connection.
 * Idea. Every call has a deadline and a place among at most CALLS_MAX outstanding ones; the end of the stream ends them
 * all. On the private socket there is no bus: no Hello, no destination, no match rules, and every signal arrives.
 *
 * Invariants.
 * - `closed` settles once; after it every call rejects with `disconnected`.
 * - Nothing is sent before the other side has answered a first message (on the private socket that one can be lost).
 *
 * Not here. Connecting again (connection.ts), what is called (systemd-manager.ts).
 *
 * @module
 */
import type { EventEmitter } from "node:events";
import dbus from "dbus-next";
import type { Clock } from "../../lib/clock.ts";
import { reasonOf } from "../../lib/log.ts";
import { within } from "../../lib/wait.ts";
import { Semaphore } from "../semaphore.ts";
import { UnitManagerError } from "../unit-manager.ts";
import { DBUS, SignalSieve, type SystemdSignal } from "./signals.ts";

/** A message bus, or the socket on which systemd speaks D-Bus itself. */
export type BusKind = "system" | "private";

/** dbus-daemon's max_replies_per_connection is 128 (dbus-daemon(1)); some are left for its own answers. */
const CALLS_MAX = 100;
const CONNECT_TIMEOUT_MS = 5000;
const CALL_TIMEOUT_MS = 25_000;
const PING_TIMEOUT_MS = 250;
const PINGS_MAX = 8;
/** Measured: a message sent right behind the authentication is lost on the private socket once in about thirty. */
const SETTLE_MS = 10;

export const SYSTEMD = "org.freedesktop.systemd1";

export interface BusCall {
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature?: string;
  readonly body?: readonly unknown[];
  readonly destination?: string;
  readonly timeoutMs?: number;
}

/** systemd or the bus answered with an error. `name` is D-Bus's error name. */
export class BusRefusal extends Error {
  readonly code = "bus-refusal";
  readonly errorName: string;
  constructor(errorName: string, message: string) {
    super(message);
    this.errorName = errorName;
  }
}

/** The parts of dbus-next's MessageBus that its types leave out. */
interface Internals {
  readonly _connection: EventEmitter & {
    readonly stream: EventEmitter & {
      read: () => Buffer | null;
      destroy(): void;
      cork(): void;
      uncork(): void;
    };
    readonly _messages: unknown[];
  };
  readonly _methodReturnHandlers: Record<number, unknown>;
}

export class Bus {
  readonly kind: BusKind;
  readonly #clock: Clock;
  readonly #bus: dbus.MessageBus;
  readonly #internals: Internals;
  readonly #end = new AbortController();
  readonly #calls = new Semaphore(CALLS_MAX);
  readonly #listeners = new Set<(signal: SystemdSignal) => void>();
  #corked = false;

  private constructor(kind: BusKind, path: string, clock: Clock) {
    this.kind = kind;
    this.#clock = clock;
    this.#bus = dbus.sessionBus({ busAddress: `unix:path=${path}` });
    this.#internals = this.#bus as unknown as Internals;
    // dbus-next has queued its own Hello, and would end the process if that is refused: we say Hello ourselves.
    this.#internals._connection._messages.length = 0;
    const lost = (why: unknown) => this.#lost(reasonOf(why));
    this.#bus.on("error", lost);
    this.#internals._connection.on("end", () => lost("the other side closed the connection"));
    this.#internals._connection.stream.on("close", () => lost("the connection was closed"));
    // Before that the stream is read byte by byte: it is authentication, and no message.
    this.#internals._connection.on("connect", () => this.#sift());
  }

  /** Rejects with UnitManagerError `disconnected`. */
  static async connect(kind: BusKind, clock: Clock, path: string): Promise<Bus> {
    const bus = new Bus(kind, path, clock);
    try {
      await within(clock, bus.#greet(), {
        timeoutMs: CONNECT_TIMEOUT_MS,
        signal: bus.#end.signal,
        error: (why) => bus.#error(why === "timeout" ? "it does not answer" : String(bus.#end.signal.reason)),
      });
    } catch (error) {
      bus.close();
      throw new UnitManagerError("disconnected", `Cannot reach systemd at "${path}": ${reasonOf(error)}`);
    }
    return bus;
  }

  /** Aborted, with the reason, when the connection is gone. */
  get ended(): AbortSignal {
    return this.#end.signal;
  }

  onSignal(listener: (signal: SystemdSignal) => void): void {
    this.#listeners.add(listener);
  }

  /** A method call; resolves with the answer's arguments. Throws BusRefusal or UnitManagerError. */
  call(call: BusCall): Promise<readonly unknown[]> {
    return this.#calls.run(() => this.#send(call, call.timeoutMs ?? CALL_TIMEOUT_MS));
  }

  /** Asks the bus to pass on signals that fit. The private socket passes on everything. */
  async addMatch(rule: string): Promise<void> {
    if (this.kind === "private") return;
    await this.call({
      path: "/org/freedesktop/DBus",
      interface: DBUS,
      member: "AddMatch",
      destination: DBUS,
      signature: "s",
      body: [rule],
    });
  }

  close(): void {
    this.#lost("it was closed here");
  }

  async #greet(): Promise<void> {
    if (this.kind === "system") {
      await this.#send(
        { path: "/org/freedesktop/DBus", interface: DBUS, member: "Hello", destination: DBUS },
        CONNECT_TIMEOUT_MS,
      );
      return;
    }
    await new Promise((resolve) => this.#internals._connection.once("connect", resolve));
    await new Promise<void>((resolve) => this.#clock.after(SETTLE_MS, resolve));
    for (let ping = 1; ; ping++) {
      try {
        await this.#send(
          { path: "/org/freedesktop/systemd1", interface: "org.freedesktop.DBus.Peer", member: "Ping" },
          PING_TIMEOUT_MS,
        );
        return;
      } catch (error) {
        if (ping === PINGS_MAX || this.#end.signal.aborted) throw error;
      }
    }
  }

  async #send(call: BusCall, timeoutMs: number): Promise<readonly unknown[]> {
    if (this.#end.signal.aborted) throw this.#error(String(this.#end.signal.reason));
    const message = new dbus.Message({
      path: call.path,
      interface: call.interface,
      member: call.member,
      signature: call.signature ?? "",
      body: [...(call.body ?? [])],
      ...(this.kind === "private" ? {} : { destination: call.destination ?? SYSTEMD }),
    });
    try {
      this.#cork();
      const reply = await within(this.#clock, this.#bus.call(message), {
        timeoutMs,
        signal: this.#end.signal,
        error: (why) =>
          why === "timeout"
            ? new UnitManagerError(
                "timeout",
                `Called systemd's ${call.member} without an answer within ${timeoutMs} ms`,
              )
            : this.#error(String(this.#end.signal.reason)),
      });
      return reply?.body ?? [];
    } catch (error) {
      if (message.serial !== null) delete this.#internals._methodReturnHandlers[message.serial];
      if (error instanceof dbus.DBusError) throw new BusRefusal(error.type, error.text);
      throw error;
    }
  }

  #sift(): void {
    const { stream } = this.#internals._connection;
    const read = stream.read.bind(stream);
    const sieve = new SignalSieve(read, (signal) => {
      for (const listener of this.#listeners) listener(signal);
    });
    stream.read = () => sieve.read();
  }

  /** Everything that is sent in one turn goes out in one write. */
  #cork(): void {
    if (this.#corked) return;
    this.#corked = true;
    const { stream } = this.#internals._connection;
    stream.cork();
    process.nextTick(() => {
      this.#corked = false;
      stream.uncork();
    });
  }

  #error(reason: string): UnitManagerError {
    return new UnitManagerError("disconnected", `Lost the connection to systemd: ${reason}`);
  }

  #lost(reason: string): void {
    if (this.#end.signal.aborted) return;
    this.#end.abort(reason);
    this.#internals._connection.stream.destroy();
  }
}
