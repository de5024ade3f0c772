/**
 * What to do without a systemd: the host's daemon, a user's own.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { UnitManagerError } from "../agent/index.ts";
import { HOST_SCOPE, userScope } from "../agent/systemd/index.ts";
import { adviceOnSystemd } from "./systemd-advice.ts";

const folder = new UnitManagerError("directory", 'Cannot prepare the units directory "/x": EACCES');
const bus = new UnitManagerError("disconnected", "Lost the connection to systemd");
const user = userScope("/run/user/1000");

test("the host's: a folder that can be written, or dbus", () => {
  expect(adviceOnSystemd(folder, "/run/flt/units", HOST_SCOPE)).toContain("set units_directory");
  expect(adviceOnSystemd(bus, "/run/flt/units", HOST_SCOPE)).toContain("dbus");
});

test("a user's: without a login there is no systemd of his; a folder of his choice is another matter", () => {
  expect(adviceOnSystemd(folder, "/run/user/1000/flt/units", user)).toMatch(
    /\/run\/user\/1000 come with a login .*enable-linger/,
  );
  expect(adviceOnSystemd(bus, "/run/user/1000/flt/units", user)).toMatch(/dbus-user-session.*Log in as that user/);
  expect(adviceOnSystemd(folder, "/home/a/units", user)).toContain("set units_directory");
});
