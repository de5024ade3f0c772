/**
 * The files of --ca-file, --cert-file and --key-file.
 *
 * Idea. Whatever is wrong with one is said with its flag and path, before a connection is tried.
 *
 * @module
 */
import type { TlsFiles } from "../client/index.ts";
import { holdsPem, type PemKind, pairProblem } from "../lib/pem.ts";
import { decodeText } from "../lib/text.ts";
import { CliError } from "./command.ts";
import type { FlagValues } from "./flags.ts";
import type { World } from "./world.ts";

export function tlsFiles(flags: FlagValues, world: World): TlsFiles {
  const cert = flags.text("cert-file");
  const key = flags.text("key-file");
  if (cert !== "" && key === "") {
    throw new CliError("Cannot use --cert-file without --key-file: a certificate needs its key");
  }
  if (key !== "" && cert === "")
    throw new CliError("Cannot use --key-file without --cert-file: a key alone proves nothing");
  const files = {
    ...pem(world, "ca", flags.text("ca-file"), "certificate"),
    ...pem(world, "cert", cert, "certificate"),
    ...pem(world, "key", key, "private key"),
  };
  if (files.cert !== undefined && files.key !== undefined) checkPair(cert, files.cert, key, files.key);
  return files;
}

function checkPair(certPath: string, cert: string, keyPath: string, key: string): void {
  switch (pairProblem(cert, key)) {
    case null:
      return;
    case "damaged-certificate":
      throw new CliError(`Cannot use --cert-file "${certPath}": its certificate is damaged`);
    case "damaged-key":
      throw new CliError(`Cannot use --key-file "${keyPath}": its key is damaged, or protected by a passphrase`);
    case "other-key":
      throw new CliError(`Cannot use --key-file "${keyPath}": it is not the key of the certificate in "${certPath}"`);
  }
}

function pem(world: World, part: keyof TlsFiles, path: string, kind: PemKind): TlsFiles {
  if (path === "") return {};
  const bytes = world.readFile(path);
  if (bytes === null) throw new CliError(`Cannot read --${part}-file "${path}": there is no such file`);
  const text = decodeText(bytes);
  if (!holdsPem(text, kind)) {
    throw new CliError(`Cannot use --${part}-file "${path}": it holds no ${kind} in PEM`);
  }
  return { [part]: text };
}
