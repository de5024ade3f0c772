/**
 * The second door of the consensus library (#raft/adapters): its ports for real, on SQLite and TCP.
 *
 * @module
 */
export { RAFT_MAGIC } from "./frames.ts";
export { IdentityMismatchError, LogInUseError, NewerFormatError } from "./log-errors.ts";
export { openSqliteLog, type SqliteLogOptions } from "./sqlite-log.ts";
export { TcpTransport, type TcpTransportOptions } from "./tcp-transport.ts";
