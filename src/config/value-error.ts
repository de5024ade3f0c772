/**
 * Why one value of the configuration cannot be used. load.ts adds where it was found, and throws ConfigError.
 *
 * @module
 */
export class ValueError extends Error {
  readonly code = "bad-value";
  constructor(reason: string) {
    super(reason);
    this.name = "ValueError";
  }
}
