/**
 * Unit files of any content: read or refused by name, and what was read survives being written and read again.
 *
 * @module
 */
import { parseRequirements, unitWarnings } from "../../src/model/requirements.ts";
import { parseUnitFile, serializeUnitFile, type UnitOption, unitHash } from "../../src/model/unit-file.ts";

/** null when the file is refused; a refusal has a code, anything else is thrown on. */
function refusedOr<T>(work: () => T): T | null {
  try {
    return work();
  } catch (error) {
    if (error instanceof Error && "code" in error && /^bad-/.test(String(error.code))) return null;
    throw error;
  }
}

export function checkUnitFile(source: string | Uint8Array): void {
  const options = refusedOr(() => parseUnitFile(source));
  if (options === null) return;
  for (const name of ["hello.service", "web@1.service"]) {
    refusedOr(() => parseRequirements(name, options));
    refusedOr(() => unitWarnings(name, options));
  }
  const again = parseUnitFile(serializeUnitFile(options));
  if (unitHash(again) !== unitHash(options)) {
    throw new Error(`Changed by a round trip: ${described(options)} became ${described(again)}`);
  }
}

function described(options: readonly UnitOption[]): string {
  return JSON.stringify(options);
}
