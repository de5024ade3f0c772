/**
 * The one refusal of this room.
 *
 * @module
 */

/** Thrown for a configuration that cannot be used. The message names option, value and place (file and line, variable or flag). */
export class ConfigError extends Error {
  readonly code = "bad-config";
  constructor(message: string) {
    super(message);
    this.name = "ConfigError";
  }
}
