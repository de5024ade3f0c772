/**
 * One option of a unit file. (Parsing, serialization and hash join it here.)
 *
 * @module
 */
export interface UnitOption {
  readonly section: string;
  readonly name: string;
  readonly value: string;
}
