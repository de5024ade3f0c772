/**
 * The end of an ssh that was started as a child process.
 *
 * Idea. What ssh says on stderr is passed on as it comes, and looked at on its way for the one refusal that needs advice.
 *
 * @module
 */
import type { ChildProcess } from "node:child_process";
import { CliError } from "../command.ts";
import type { SshResult } from "./port.ts";

const KEY_REFUSED = "Host key verification failed";
/** A signal ended it: the shell's way to say so. */
const SIGNAL_STATUS = 128;
const SIGNAL_NUMBERS: Readonly<Record<string, number>> = { SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGPIPE: 13, SIGTERM: 15 };

/** Passes stderr on and waits for the end. */
export function sshResult(child: ChildProcess, sayError: (text: string) => void): Promise<SshResult> {
  return new Promise((resolve, reject) => {
    let tail = "";
    let isKeyRefused = false;
    child.stderr?.setEncoding("utf8");
    child.stderr?.on("data", (text: string) => {
      tail = (tail + text).slice(-2 * KEY_REFUSED.length - text.length);
      isKeyRefused ||= tail.includes(KEY_REFUSED);
      sayError(text);
    });
    child.once("error", (error: NodeJS.ErrnoException) => {
      const why = error.code === "ENOENT" ? "there is no such program; install OpenSSH's client" : error.message;
      reject(new CliError(`Cannot run ssh: ${why}`));
    });
    child.once("close", (code, signal) => {
      const status = code ?? SIGNAL_STATUS + (SIGNAL_NUMBERS[signal ?? ""] ?? 0);
      resolve({ status, isKeyRefused });
    });
  });
}
