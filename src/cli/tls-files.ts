/**
 * The files of --ca-file, --cert-file and --key-file.
 *
 * Idea. What is in them is looked at here: the TLS library's own words for a file that is none speak of typing errors in a URL.
 *
 * @module
 */
import type { TlsFiles } from "../client/index.ts";
import { decodeText } from "../lib/text.ts";
import { CliError } from "./command.ts";
import type { FlagValues } from "./flags.ts";
import type { World } from "./world.ts";

const CERTIFICATE = { what: "certificate", pattern: /^-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----$/m };
const KEY = { what: "private key", pattern: /^-----BEGIN (?:[A-Z0-9]+ )?PRIVATE KEY-----$/m };

export function tlsFiles(flags: FlagValues, world: World): TlsFiles {
  const cert = flags.text("cert-file");
  const key = flags.text("key-file");
  if (cert !== "" && key === "") {
    throw new CliError("Cannot use --cert-file without --key-file: a certificate needs its key");
  }
  if (key !== "" && cert === "")
    throw new CliError("Cannot use --key-file without --cert-file: a key alone proves nothing");
  return {
    ...pem(world, "ca", flags.text("ca-file"), CERTIFICATE),
    ...pem(world, "cert", cert, CERTIFICATE),
    ...pem(world, "key", key, KEY),
  };
}

function pem(world: World, part: keyof TlsFiles, path: string, expected: typeof CERTIFICATE): TlsFiles {
  if (path === "") return {};
  const bytes = world.readFile(path);
  if (bytes === null) throw new CliError(`Cannot read --${part}-file "${path}": there is no such file`);
  const text = decodeText(bytes);
  if (!expected.pattern.test(text.replaceAll("\r", ""))) {
    throw new CliError(`Cannot use --${part}-file "${path}": it holds no ${expected.what} in PEM`);
  }
  return { [part]: text };
}
