/**
 * Where a user's own daemon and its client put things: the XDG base directories.
 *
 * Idea. The table of options names them as a shell would ("$XDG_RUNTIME_DIR/flt.sock"), so that help texts can show them; here is
 * what the names stand for. The XDG specification has relative paths ignored.
 *
 * @module
 */
export interface User {
  readonly uid: number;
  readonly home: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** pam_systemd(8) makes it; a service of the user's manager has it in its environment. */
export function runtimeDirectory(env: Environment, uid: number): string {
  return absolute(env.XDG_RUNTIME_DIR) ?? `/run/user/${uid}`;
}

export function userConfigPath(env: Environment, user: User): string {
  return `${absolute(env.XDG_CONFIG_HOME) ?? `${user.home}/.config`}/flt/flt.conf`;
}

/** Replaces the directories' names by the directories. */
export function inUserPlaces(text: string, env: Environment, user: User): string {
  return text
    .replace("$XDG_RUNTIME_DIR", () => runtimeDirectory(env, user.uid))
    .replace("$XDG_DATA_HOME", () => absolute(env.XDG_DATA_HOME) ?? `${user.home}/.local/share`);
}

function absolute(path: string | undefined): string | undefined {
  return path?.startsWith("/") ? path.replace(/(?<=.)\/+$/, "") : undefined;
}
