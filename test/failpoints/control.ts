/**
 * Where a member is asked: a socket beside its directory, so that in there lies only what is production's.
 *
 * @module
 */

export function controlSocket(directory: string): string {
  return `${directory}.control`;
}
