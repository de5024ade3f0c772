/**
 * What a checker says when a promise is broken.
 *
 * @module
 */
export class Violation extends Error {
  override readonly name = "Violation";
  /** Which promise: "watch", "lease", "linearizability". */
  readonly promise: string;

  constructor(promise: string, message: string) {
    super(`${promise}: ${message}`);
    this.promise = promise;
  }
}
