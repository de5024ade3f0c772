/**
 * SystemdConnection: a Bus that comes back.
 *
 * Idea. While there is a connection, `bus` is it; when it is lost, tries go on with growing pauses until it is there
 * again, signals subscribed to. PID 1's own socket is preferred, as systemctl does: it brings all signals (measured: 15 a
 * start instead of 9, which cost next to nothing here, see signals.ts), but no third process has to carry each message twice
 * (0.6 ms of dbus-daemon's time a start). Where that socket is not for us, the system bus serves all the same.
 *
 * Invariants.
 * - `lost` and `regained` alternate; between them every call rejects with `disconnected`.
 * - A new systemd behind the same bus (NameOwnerChanged) counts as a lost connection: it has forgotten our subscription.
 *
 * @module
 */
import type { Clock } from "../../lib/clock.ts";
import { type Log, reasonOf } from "../../lib/log.ts";
import { pause } from "../../lib/wait.ts";
import { Backoff } from "../backoff.ts";
import { UnitManagerError } from "../unit-manager.ts";
import { Bus, type BusKind, BusRefusal, SYSTEMD } from "./bus.ts";
import type { SystemdScope } from "./scope.ts";
import { DBUS, MANAGER_INTERFACE, PROPERTIES, type SystemdSignal, UNIT_INTERFACE } from "./signals.ts";

export { PROPERTIES, UNIT_INTERFACE };
export const MANAGER = { path: "/org/freedesktop/systemd1", interface: MANAGER_INTERFACE } as const;

const RETRY_FIRST_MS = 50;
const RETRY_LAST_MS = 5000;

/** One rule for all units: dbus-daemon allows 512 rules a connection, fewer than a machine may have units. */
const MATCHES: readonly string[] = [
  `type='signal',sender='${SYSTEMD}',interface='${MANAGER.interface}',member='JobRemoved'`,
  `type='signal',sender='${SYSTEMD}',interface='${MANAGER.interface}',member='Reloading'`,
  `type='signal',sender='${SYSTEMD}',interface='${PROPERTIES}',member='PropertiesChanged',` +
    `path_namespace='/org/freedesktop/systemd1/unit',arg0='${UNIT_INTERFACE}'`,
  `type='signal',sender='${DBUS}',interface='${DBUS}',member='NameOwnerChanged',arg0='${SYSTEMD}'`,
];

export interface ConnectionOptions {
  /** Tried in this order. */
  readonly kinds: readonly BusKind[];
  readonly scope: SystemdScope;
  readonly clock: Clock;
  readonly log: Log;
  readonly onSignal: (signal: SystemdSignal) => void;
  readonly onLost: () => void;
  readonly onRegained: () => void;
}

export class SystemdConnection {
  readonly #options: ConnectionOptions;
  readonly #stop = new AbortController();
  #bus: Bus | null = null;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** The connection as it is now; throws `disconnected` when there is none. */
  get bus(): Bus {
    if (this.#bus === null) throw new UnitManagerError("disconnected", "Lost the connection to systemd: trying again");
    return this.#bus;
  }

  /** Connects for the first time. Rejects when that fails, with the reason of the last try. */
  async open(): Promise<void> {
    this.#adopt(await this.#connect());
  }

  close(): void {
    this.#stop.abort();
    this.#bus?.close();
    this.#bus = null;
  }

  #adopt(bus: Bus): void {
    this.#bus = bus;
    const lost = () => {
      if (this.#bus !== bus) return;
      this.#bus = null;
      if (this.#stop.signal.aborted) return;
      this.#options.log.warning("Lost the connection to systemd, units go on as they are", {
        reason: String(bus.ended.reason),
      });
      this.#options.onLost();
      void this.#comeBack();
    };
    bus.ended.addEventListener("abort", lost);
    if (bus.ended.aborted) lost();
  }

  async #comeBack(): Promise<void> {
    const backoff = new Backoff(RETRY_FIRST_MS, RETRY_LAST_MS);
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        const bus = await this.#connect();
        if (signal.aborted) {
          bus.close();
          return;
        }
        this.#options.log.notice("Connected to systemd again", { over: bus.kind });
        this.#adopt(bus);
        this.#options.onRegained();
        return;
      } catch (error) {
        this.#options.log.debug("Cannot connect to systemd, trying again", { reason: reasonOf(error) });
        await pause(this.#options.clock, backoff.next(), signal);
      }
    }
  }

  async #connect(): Promise<Bus> {
    let failure: unknown;
    for (const kind of this.#options.kinds) {
      try {
        return await this.#connectTo(kind);
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  async #connectTo(kind: BusKind): Promise<Bus> {
    const bus = await Bus.connect(kind, this.#options.clock, this.#options.scope.sockets[kind]);
    bus.onSignal((signal) => {
      if (signal.kind === "owner-changed") bus.close();
      else if (bus === this.#bus) this.#options.onSignal(signal);
    });
    try {
      await Promise.all(MATCHES.map((rule) => bus.addMatch(rule)));
      await bus.call({ ...MANAGER, member: "Subscribe" });
    } catch (error) {
      // systemd remembers a subscriber that it has not seen go.
      if (error instanceof BusRefusal && error.errorName.endsWith(".AlreadySubscribed")) return bus;
      bus.close();
      throw error;
    }
    return bus;
  }
}
