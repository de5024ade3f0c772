/**
 * The version of this build, as a constant that costs nothing to read.
 *
 * `flt --version` must answer before anything heavy is loaded, so it cannot parse package.json; a test holds the two
 * together (version.test.ts).
 *
 * @module
 */
export const VERSION = "0.1.0";
