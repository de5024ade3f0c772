/**
 * What the client's exit statuses mean, for the manual.
 *
 * @module
 */
import {
  EXIT_FAILED,
  EXIT_INTERRUPTED,
  EXIT_NO_SUCH_UNIT,
  EXIT_NOT_ACTIVE,
  EXIT_OK,
  EXIT_UNKNOWN_UNIT,
  EXIT_USAGE,
} from "./command.ts";

export const EXIT_STATUSES: readonly (readonly [number, string])[] = [
  [EXIT_OK, "Done."],
  [EXIT_FAILED, "Not done, or not all of it; what and why is on stderr."],
  [EXIT_USAGE, "The command line cannot be understood."],
  [
    EXIT_NOT_ACTIVE,
    "A unit that was asked for is not active, or not known to is-active, as with systemctl(1) of systemd 252.",
  ],
  [EXIT_NO_SUCH_UNIT, "status: there is no such unit, as with systemctl(1)."],
  [
    EXIT_UNKNOWN_UNIT,
    "Elsewhere: there is no such unit, as with systemctl(1), and for cat and list-dependencies, too, where that ends with 1 and 0. To is-active, " +
      "is-failed and show such a unit is an inactive one. Called as fltctl or fleetctl: 1, or 0 where fleet's client passed over it.",
  ],
  [EXIT_INTERRUPTED, "Ended by Ctrl-C."],
];
