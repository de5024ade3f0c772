/**
 * Where an option's value was found.
 *
 * @module
 */
import type { ConfigField } from "./table.ts";

/** `where` is fit for a message: `flag --agent-ttl`, `"/etc/flt/flt.conf" line 3`. */
export interface Source {
  readonly kind: "flag" | "environment" | "file" | "default";
  readonly where: string;
}

export type Sources = Readonly<Record<ConfigField, Source>>;
