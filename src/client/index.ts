/**
 * The client's door.
 *
 * @module
 */
export type { UnitOutcome } from "./batch.ts";
export { type DependenciesOptions, FleetClient, type JournalOptions, type ServerVersion } from "./client.ts";
export { DEFAULT_ENDPOINT, type Endpoint, parseEndpoint } from "./endpoint.ts";
export { ClientError, type ClientErrorCode } from "./errors.ts";
export type { Fetch, FetchInit, HttpOptions, TlsFiles } from "./http.ts";
