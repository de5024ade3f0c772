/**
 * A route as data: what the router matches and calls, and what the documents tell of it.
 *
 * @module
 */
import type { REQUEST_SCHEMAS } from "../../model/entity-input.ts";
import type { AnswerName } from "./answers.ts";
import type { Handler } from "./call.ts";

export interface Parameter {
  readonly name: string;
  readonly type: "string" | "integer" | "boolean";
  readonly description: string;
  readonly repeated?: true;
}

export interface Operation {
  readonly handler: Handler;
  /** In OpenAPI; unique. */
  readonly id: string;
  /** fleet's own name of the method in the discovery document; absent: fleet did not have it. */
  readonly discovery?: { readonly resource: string; readonly method: string; readonly id: string };
  readonly summary: string;
  readonly description?: string;
  readonly query?: readonly Parameter[];
  readonly body?: keyof typeof REQUEST_SCHEMAS;
  /** A successful answer by status: an entity, or a media type, or nothing at all (""). */
  readonly answers: Readonly<Record<number, AnswerContent>>;
  /** It changes nothing, though it is no GET. */
  readonly readsOnly?: true;
  /** Statuses of refusals that this operation has beside those of all. */
  readonly refusals?: readonly number[];
}

export interface AnswerContent {
  readonly description: string;
  readonly entity?: AnswerName;
  /** Under flt's prefix, where that has more to say. */
  readonly fltEntity?: AnswerName;
  /** Without an entity: a body of another kind. With one: lines of it, as in the event stream. */
  readonly mediaType?: string;
}

/** Where the routes are served. */
export interface Prefix {
  readonly path: string;
  /** flt's own routes are there, too, and answers that say more. */
  readonly isFlt: boolean;
  /** Makes an operation's id another one than under the first prefix: an id names one operation. */
  readonly idSuffix: string;
  /** Kept for older clients. */
  readonly isOld?: true;
}

export const PREFIXES: readonly Prefix[] = [
  { path: "/fleet/v1", isFlt: false, idSuffix: "" },
  { path: "/fleet/v1-alpha", isFlt: false, idSuffix: "Alpha", isOld: true },
  { path: "/flt/v1", isFlt: true, idSuffix: "Flt" },
];

export interface Route {
  /** Path below the prefix; "*" is the unit's name. */
  readonly path: readonly string[];
  readonly methods: Readonly<Record<string, Operation>>;
  /** Not under fleet's prefixes. */
  readonly fltOnly?: true;
}
