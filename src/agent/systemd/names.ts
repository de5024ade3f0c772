/**
 * Unit names as D-Bus object paths, and back (sd_bus_path_encode(3)); what hangs on a unit's type.
 *
 * @module
 */
export const UNIT_PATH_PREFIX = "/org/freedesktop/systemd1/unit/";

/** `hello.service` -> `/org/freedesktop/systemd1/unit/hello_2eservice`. */
export function unitPath(name: string): string {
  let label = "";
  for (const byte of Buffer.from(name)) {
    const letter = (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122);
    const digit = byte >= 48 && byte <= 57 && label !== "";
    label += letter || digit ? String.fromCharCode(byte) : `_${byte.toString(16).padStart(2, "0")}`;
  }
  return UNIT_PATH_PREFIX + (label || "_");
}

/** undefined: not the path of a unit. */
export function unitOfPath(path: string): string | undefined {
  if (!path.startsWith(UNIT_PATH_PREFIX)) return undefined;
  const label = path.slice(UNIT_PATH_PREFIX.length);
  return label.replace(/_([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

const TYPES_WITH_RESULT: Readonly<Record<string, string>> = {
  automount: "Automount",
  mount: "Mount",
  path: "Path",
  scope: "Scope",
  service: "Service",
  socket: "Socket",
  swap: "Swap",
  timer: "Timer",
};

/** The D-Bus interface that has the Result property of this unit; undefined: its type has none. */
export function resultInterface(name: string): string | undefined {
  const type = TYPES_WITH_RESULT[name.slice(name.lastIndexOf(".") + 1)];
  return type && `org.freedesktop.systemd1.${type}`;
}

const TYPES_WITHOUT_FILES: Readonly<Record<string, string>> = {
  busname: "today's systemd has no units of type busname",
  scope: "systemd reads no scope from a file, programs make them as they run (systemd.scope(5))",
  snapshot: "today's systemd has no units of type snapshot",
};

/** Why systemd takes no file of this unit's type; undefined: it does. fleet's names allow these types nevertheless. */
export function typeProblem(name: string): string | undefined {
  return TYPES_WITHOUT_FILES[name.slice(name.lastIndexOf(".") + 1)];
}
