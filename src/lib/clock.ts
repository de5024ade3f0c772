/**
 * The Clock port: monotonic time and one-shot timers, for every room that must not read a clock of its own.
 *
 * Idea. The simulator and the tests hand in a virtual one; platform/ hands in the real one. It fits raft's own Clock
 * port, too, so that one object serves both.
 *
 * Not here. Wall-clock time: where a person reads a time, the room declares its own port.
 *
 * @module
 */

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Monotonic milliseconds; only differences mean something. */
  now(): number;
  /** Runs once, never early. */
  after(delayMs: number, run: () => void): Timer;
}
