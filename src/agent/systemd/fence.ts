/**
 * SystemdFence: a timer of systemd that stops the fenced units when nobody puts it off.
 *
 *   /run/systemd/system/flt-fence@.service   runs the script below (runtime unit file)
 *   flt-fence@<n>.timer                      transient, one for each time that it is put off; the one before is stopped then
 *   /run/flt/units/.fence.sh                 the script
 *   /run/flt/units/.fenced/<unit>            empty: this unit is fenced
 *   /run/flt/units/.fence-fired              empty: the script has begun; until somebody looked
 *
 * Problem. systemd counts a timer's OnActiveSec= anew at each daemon-reload, so whoever reloads often would put the fence off.
 * Idea. The timer names a moment of the monotonic clock, as a distance from systemd's own start (OnStartupSec=), and each renewal
 * is a new timer. The units are told by files, so that the script finds those of now.
 * Invariants.
 * - There is no moment without a timer: the old one is stopped when the new one runs.
 * - A timer that was not stopped, or of whose start no answer came, is looked for at the next time: it would fire.
 * - With a full /run it is put off all the same: room for it is kept (unit-directory.ts), and the old timer's becomes free.
 * - Script and service are there whenever the timer is put off: whoever clears /run away clears these, too.
 * - The script takes away a unit's launched mark before it stops it: a daemon that comes back knows that it is to be started.
 *
 * Not here. When to put it off (agent/fence.ts). A host that was suspended: its monotonic clock stood still.
 *
 * @module
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import dbus from "dbus-next";
import { reasonOf } from "../../lib/log.ts";
import { FENCE_STOP_MS } from "../../model/fence.ts";
import { type FenceState, UnitManagerError } from "../unit-manager.ts";
import { BusRefusal } from "./bus.ts";
import { keepFile } from "./keep-file.ts";
import type { ManagerCalls } from "./manager-calls.ts";
import { ignoreUnknownUnit } from "./refusals.ts";
import type { SystemdScope } from "./scope.ts";
import type { UnitDirectory } from "./unit-directory.ts";

/** A timer starts the service of its own name: transient timers take no other. */
const SERVICE = "flt-fence@.service";
const SERVICES = "flt-fence@*.service";
const TIMERS = "flt-fence@*.timer";
/** systemd may be so late, to save wake-ups; its default is a minute. */
const ACCURACY_US = 1_000n;

export interface FenceOptions {
  readonly directory: UnitDirectory;
  readonly scope: SystemdScope;
  readonly calls: Pick<ManagerCalls, "call" | "order" | "ownProperty">;
  /** CLOCK_MONOTONIC, as systemd counts it. */
  readonly monotonicUs: () => bigint;
}

export class SystemdFence {
  readonly #options: FenceOptions;
  /** The timer that counts; null: systemd may have others of ours, too. */
  #timer: string | null = null;
  #count = 0;

  constructor(options: FenceOptions) {
    this.#options = options;
  }

  async arm(afterMs: number): Promise<FenceState> {
    const { directory } = this.#options;
    this.#prepare();
    const hasFired = directory.fenceFired();
    if (hasFired) await this.#callOff();
    const before = await this.#timers();
    this.#timer = null;
    const timer = await this.#startWithRoom(BigInt(Math.round(afterMs)) * 1000n);
    for (const old of before) if (old !== timer) await this.#stop(old);
    this.#timer = timer;
    directory.keepReserve();
    // Last: what failed before is tried again, and then this must still be known.
    if (hasFired) directory.forgetFired();
    return hasFired ? "fired" : "kept";
  }

  #prepare(): void {
    const { directory, scope } = this.#options;
    const script = directory.keepFenceScript(scriptFor(scope));
    const file = join(scope.runtimeUnits, SERVICE);
    try {
      mkdirSync(scope.runtimeUnits, { recursive: true, mode: 0o755 });
      keepFile(file, serviceFor(script));
    } catch (error) {
      throw new UnitManagerError(
        "directory",
        `Cannot write "${file}", without which no unit can be fenced: ${reasonOf(error)}`,
      );
    }
  }

  /** Ends the script; what it has stopped stays stopped until the agent looks. */
  async #callOff(): Promise<void> {
    for (const service of await this.#loaded(SERVICES)) await this.#stop(service);
  }

  async #timers(): Promise<string[]> {
    return this.#timer === null ? await this.#loaded(TIMERS) : [this.#timer];
  }

  async #loaded(pattern: string): Promise<string[]> {
    const [rows] = await this.#options.calls.call("ListUnitsByPatterns", "asas", [[], [pattern]]);
    return (rows as readonly string[][]).map(([name]) => name ?? "").filter((name) => name !== "");
  }

  /** systemd refuses a timer when it cannot write the file of it: a full /run is no reason to stop what is fenced. */
  async #startWithRoom(afterUs: bigint): Promise<string> {
    try {
      return await this.#startTimer(afterUs);
    } catch (error) {
      if (!(error instanceof BusRefusal) || !this.#options.directory.releaseReserve()) throw error;
      return await this.#startTimer(afterUs);
    }
  }

  async #startTimer(afterUs: bigint): Promise<string> {
    const { calls, monotonicUs } = this.#options;
    const startupUs = BigInt((await calls.ownProperty("UserspaceTimestampMonotonic")) as bigint | number);
    const atUs = monotonicUs() + afterUs;
    const name = `flt-fence@${atUs}-${this.#count++}.timer`;
    const properties = [
      ["Description", new dbus.Variant("s", "Stops units with Fence=strict unless flt puts it off")],
      ["TimersMonotonic", new dbus.Variant("a(st)", [["OnStartupSec", atUs - startupUs]])],
      ["AccuracyUSec", new dbus.Variant("t", ACCURACY_US)],
      ["RemainAfterElapse", new dbus.Variant("b", false)],
      ["CollectMode", new dbus.Variant("s", "inactive-or-failed")],
    ];
    const started = await calls.order("StartTransientUnit", "ssa(sv)a(sa(sv))", [name, "replace", properties, []]);
    const result = await started.done;
    if (result === "done") return name;
    throw new UnitManagerError(
      "rejected",
      `Cannot arm the fence: systemd ended the start of "${name}" with "${result}"`,
    );
  }

  async #stop(name: string): Promise<void> {
    try {
      const stopped = await this.#options.calls.order("StopUnit", "ss", [name, "replace"]);
      await stopped.done;
    } catch (error) {
      ignoreUnknownUnit(error);
    }
  }
}

function serviceFor(script: string): string {
  // systemd.service(5): quoting of ExecStart=, with specifiers and variables doubled.
  const quoted = script.replace(/["\\]/g, "\\$&").replace(/[%$]/g, "$&$&");
  return [
    "# Written by flt.",
    "[Unit]",
    "Description=Stop units with Fence=strict: this machine's lease was not renewed in time",
    "StartLimitIntervalSec=0",
    "CollectMode=inactive-or-failed",
    "",
    "[Service]",
    "Type=oneshot",
    `ExecStart=/bin/sh "${quoted}"`,
    "",
  ].join("\n");
}

/** It finds its files beside itself. `timeout` exits with 124 when the time is over. A mark that cannot be made (`:` would end it) stops nothing. */
function scriptFor({ toolFlags }: SystemdScope): string {
  const systemctl = ["systemctl", ...toolFlags].join(" ");
  return `# Written by flt.
cd "\${0%/*}/.fenced" || exit 1
set -- *
[ -e "$1" ] || exit 0
true > ../.fence-fired
echo "This machine's lease was not renewed in time, stopping: $*"
(cd ../.launched && rm -f -- "$@")
timeout ${FENCE_STOP_MS / 1000} ${systemctl} stop -- "$@"
[ $? -ne 124 ] || ${systemctl} kill --signal=SIGKILL --kill-who=all -- "$@"
`;
}
