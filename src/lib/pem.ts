/**
 * Whether a text is what a file of certificates or keys holds, and whether two of them belong together.
 *
 * Idea. Looked at before TLS sees it: the library's own words for a file that is none, or for a key of another certificate, speak of
 * typing errors in a URL.
 *
 * @module
 */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";

export type PemKind = "certificate" | "private key";

const PATTERNS: Readonly<Record<PemKind, RegExp>> = {
  certificate: /^-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----$/m,
  "private key": /^-----BEGIN (?:[A-Z0-9]+ )?PRIVATE KEY-----$/m,
};

export function holdsPem(text: string, kind: PemKind): boolean {
  return PATTERNS[kind].test(text.replaceAll("\r", ""));
}

/** Whether the first certificate in the text can be read. */
export function holdsCertificate(text: string): boolean {
  return certificateOf(text) !== null;
}

function certificateOf(text: string): X509Certificate | null {
  try {
    return new X509Certificate(text);
  } catch {
    return null;
  }
}

export type PairProblem = "damaged-certificate" | "damaged-key" | "other-key";

/** What keeps a certificate and a key, both PEM, from being shown to a server; null: nothing does. */
export function pairProblem(cert: string, key: string): PairProblem | null {
  const certificate = certificateOf(cert);
  if (certificate === null) return "damaged-certificate";
  let secret: KeyObject;
  try {
    secret = createPrivateKey(key);
  } catch {
    return "damaged-key";
  }
  return certificate.checkPrivateKey(secret) ? null : "other-key";
}
