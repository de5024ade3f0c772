/**
 * PATCH /machines: edits of machines' metadata.
 *
 * Idea. A JSON Patch (RFC 6902) in form only: three of its operations, on one shape of path, writing keys of their own. So no
 * library of that name is used: they apply patches to a document, and here is none. An `add` replaces what is there, a
 * `remove` of what is not there is no error: it hides the key should the machine's configuration have it one day.
 *
 * Invariants.
 * - All operations are checked before any is done, and done in one transaction.
 *
 * @module
 */
import { parseMachinePatch } from "../../model/entity-input.ts";
import { type Call, writeOptions } from "./call.ts";
import { ApiError } from "./errors.ts";
import { empty, readJson } from "./http.ts";

/** One transaction's worth: etcd's limit, which the registry keeps. */
const MAX_EDITS = 128;

export async function patchMachines(call: Call): Promise<Response> {
  // fleet never looked at the Content-Type here, and scripts send what curl makes of -d.
  const edits = parseMachinePatch(await readJson(call.request));
  if (edits.length > MAX_EDITS) {
    throw new ApiError(
      "body-too-large",
      `Cannot edit ${edits.length} keys together: at most ${MAX_EDITS}, nothing was done`,
    );
  }
  await call.ports.machines.editMetadata(edits, writeOptions(call));
  return empty(204);
}
