/**
 * The API's schemas in JSON Schema's words (2020-12), which both documents are made from.
 *
 * @module
 */
import { type JsonSchema, toJsonSchemaDefs } from "@valibot/to-json-schema";
import { REQUEST_SCHEMAS } from "../../model/entity-input.ts";
import { ANSWER_SCHEMAS } from "./answers.ts";

export type { JsonSchema };

/** @param refPrefix What stands before a schema's name in a reference to it. */
export function jsonSchemas(refPrefix: string): Readonly<Record<string, JsonSchema>> {
  const overrideRef = ({ referenceId }: { readonly referenceId: string }): string =>
    refPrefix + referenceId.slice(referenceId.lastIndexOf("/") + 1);
  const answers = toJsonSchemaDefs(ANSWER_SCHEMAS, { overrideRef });
  // What is taken is checked for being an object before its fields are looked at: of the two the latter says all.
  const requests = toJsonSchemaDefs(REQUEST_SCHEMAS, { overrideRef, typeMode: "output" });
  return { ...answers, ...requests };
}
