/**
 * stdin and stdout to a unix socket and back: the far end of a tunnel.
 *
 * Invariants.
 * - The end of stdin is passed on as such; what the socket still says arrives. The socket's end is the end.
 * - Neither side is read faster than the other one takes it.
 *
 * @module
 */
import { connect } from "node:net";
import { CliError } from "../command.ts";

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such socket",
  ECONNREFUSED: "nothing listens there",
  EACCES: "permission denied",
  ENOTSOCK: "it is no socket",
};

export function forwardToSocket(
  path: string,
  input: NodeJS.ReadableStream,
  output: NodeJS.WritableStream,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path, allowHalfOpen: true });
    let isConnected = false;
    socket.once("connect", () => {
      isConnected = true;
      input.pipe(socket);
      socket.pipe(output, { end: false });
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      const why = REASONS[error.code ?? ""] ?? error.message;
      const what = isConnected ? "Lost the connection to" : "Cannot connect to";
      reject(new CliError(`${what} "${path}": ${why}`));
    });
    // Whatever was written before this is out when this is.
    socket.once("end", () => output.write("", () => resolve()));
    socket.once("close", () => resolve());
  });
}
