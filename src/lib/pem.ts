/**
 * Whether a text is what a file of certificates or keys holds.
 *
 * Idea. Looked at before TLS sees it: the library's own words for a file that is none speak of typing errors in a URL.
 *
 * @module
 */
export type PemKind = "certificate" | "private key";

const PATTERNS: Readonly<Record<PemKind, RegExp>> = {
  certificate: /^-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----$/m,
  "private key": /^-----BEGIN (?:[A-Z0-9]+ )?PRIVATE KEY-----$/m,
};

export function holdsPem(text: string, kind: PemKind): boolean {
  return PATTERNS[kind].test(text.replaceAll("\r", ""));
}
