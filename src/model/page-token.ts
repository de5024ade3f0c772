/**
 * Page tokens: how a client of the API says which page comes next.
 *
 * Layout, fleet's: two little-endian uint16, the limit and the page (from 1), in URL-safe base64 with padding.
 *
 *   limit 100, page 2  ->  64 00 02 00  ->  "ZAACAA=="
 *
 * @module
 */

export interface PageToken {
  /** Items a page. */
  readonly limit: number;
  /** From 1. */
  readonly page: number;
}

export const PAGE_LIMIT_MAX = 0xffff;
const TOKEN_PATTERN = /^[A-Za-z0-9_-]{6}==$/;

/** Thrown for a token that this server did not give out. */
export class PageTokenError extends Error {
  readonly code = "bad-page-token";
  constructor(text: string, reason: string) {
    super(`Cannot use page token ${JSON.stringify(text.slice(0, 40))}: ${reason}`);
    this.name = "PageTokenError";
  }
}

export function encodePageToken({ limit, page }: PageToken): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt16LE(limit, 0);
  bytes.writeUInt16LE(page, 2);
  return bytes.toString("base64").replaceAll("+", "-").replaceAll("/", "_");
}

/** @param limit The server's own: a token with another one counts other pages and is refused. */
export function decodePageToken(text: string, limit: number): PageToken {
  const bytes = TOKEN_PATTERN.test(text) ? Buffer.from(text, "base64url") : Buffer.alloc(0);
  if (bytes.length !== 4) {
    throw new PageTokenError(text, "it does not decode");
  }
  const token = { limit: bytes.readUInt16LE(0), page: bytes.readUInt16LE(2) };
  if (token.page === 0) {
    throw new PageTokenError(text, "pages count from 1");
  }
  if (token.limit !== limit) {
    throw new PageTokenError(text, `its limit is ${token.limit}, this server's is ${limit}`);
  }
  return token;
}

/** One page of a sorted list, and the token of the next page when there is one. */
export function pageOf<T>(
  items: Iterable<T>,
  { limit, page }: PageToken,
): { readonly items: readonly T[]; readonly nextPageToken?: string } {
  const start = (page - 1) * limit;
  const taken: T[] = [];
  let index = 0;
  for (const item of items) {
    if (index >= start + limit) {
      // The page counter is 16 bits wide: what lies behind it cannot be asked for.
      return page < PAGE_LIMIT_MAX
        ? { items: taken, nextPageToken: encodePageToken({ limit, page: page + 1 }) }
        : { items: taken };
    }
    if (index >= start) {
      taken.push(item);
    }
    index += 1;
  }
  return { items: taken };
}
