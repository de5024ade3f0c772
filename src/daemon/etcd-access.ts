/**
 * What this machine shows to an etcd: the files of etcd_cafile, etcd_certfile and etcd_keyfile, read and looked at.
 *
 * Idea. Whatever is wrong with a file is one line at the start that names option and path, not a failed connection for ever.
 *
 * Invariant. Nothing of a key's content gets into a message.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { CONFIG_OPTIONS, type FltConfig } from "../config/table.ts";
import { holdsPem, type PemKind, pairProblem } from "../lib/pem.ts";
import { wordsOf } from "../platform/data-dir.ts";
import { StartError } from "./start-error.ts";

/** PEM texts. */
export interface EtcdTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

type FileOption = "etcdCafile" | "etcdCertfile" | "etcdKeyfile";

export function readEtcdTls(config: FltConfig): EtcdTls {
  const ca = readPem(config, "etcdCafile", "certificate");
  const cert = readPem(config, "etcdCertfile", "certificate");
  const key = readPem(config, "etcdKeyfile", "private key");
  if (cert !== null && key !== null) checkPair(config, cert, key);
  return { ...(ca === null ? {} : { ca }), ...(cert === null ? {} : { cert }), ...(key === null ? {} : { key }) };
}

function readPem(config: FltConfig, option: FileOption, kind: PemKind): string | null {
  const path = config[option];
  if (path === null) return null;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw refusal(config, option, wordsOf(error));
  }
  if (!holdsPem(text, kind)) throw refusal(config, option, `it holds no ${kind} in PEM`);
  return text;
}

function checkPair(config: FltConfig, cert: string, key: string): void {
  switch (pairProblem(cert, key)) {
    case null:
      return;
    case "damaged-certificate":
      throw refusal(config, "etcdCertfile", "its certificate is damaged");
    case "damaged-key":
      throw refusal(
        config,
        "etcdKeyfile",
        "its key is damaged, or protected by a passphrase, which nobody here could type",
      );
    case "other-key":
      throw refusal(config, "etcdKeyfile", `it is not the key of the certificate in "${config.etcdCertfile}"`);
  }
}

function refusal(config: FltConfig, option: FileOption, why: string): StartError {
  return new StartError(`Using ${CONFIG_OPTIONS[option].key} "${config[option]}" failed: ${why}`);
}
