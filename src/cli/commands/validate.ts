/**
 * flt validate: what is wrong with unit files, with their lines, without asking any cluster.
 *
 * @module
 */

import { checkUnitFile, type Finding } from "../../model/unit-check.ts";
import { mangleUnitName, parseUnitName } from "../../model/unit-name.ts";
import { CliError, type Command, type CommandContext, EXIT_FAILED, EXIT_OK, note } from "../command.ts";
import type { Paint } from "../output/colour.ts";

const STDIN = "-";

export const validate: Command = {
  name: "validate",
  usage: "[--name=UNIT] [-o FORMAT] FILE...",
  summary: "Check unit files, without a cluster",
  description:
    "Prints a line for each fault, FILE:LINE: error: … for what would be refused and FILE:LINE: warning: … for what would be accepted " +
    "and not heeded: placement options that flt.unit(5) does not have, sections that systemd does not know, requirements that nothing meets. An instance without a file " +
    'is checked by its template beside it. "-" is stdin. Ends with 1 when there is an error. `systemd-analyze verify` knows more of ' +
    "systemd's own options.",
  examples: ["validate hello.service", "validate units/*.service", "validate --name=web@.service -"],
  flags: [
    { name: "name", value: "UNIT", fallback: "stdin.service", help: 'The unit\'s name, for "-"' },
    {
      name: "output",
      short: "o",
      value: "FORMAT",
      fallback: "text",
      help: "text, json (one array, on one line)",
      choices: ["text", "json"],
    },
  ],
  isLocal: true,
  takesFiles: true,
  async run(context) {
    const output = context.flags.text("output");
    if (output !== "text" && output !== "json") throw new CliError(`Unknown output "${output}": use text or json`);
    if (context.args.length === 0) {
      note(context, "No files given");
      return EXIT_FAILED;
    }
    const found: (Finding & { readonly file: string })[] = [];
    for (const arg of context.args) {
      for (const finding of await check(context, arg)) found.push({ file: arg, ...finding });
    }
    if (output === "json") context.world.out(`${JSON.stringify(found)}\n`);
    else context.world.out(found.map((finding) => asLine(finding, context.paint)).join(""));
    return found.some(({ kind }) => kind === "error") ? EXIT_FAILED : EXIT_OK;
  },
};

function asLine({ file, line, kind, message }: Finding & { readonly file: string }, paint: Paint): string {
  const word = paint(kind === "error" ? "bad" : "warning", `${kind}:`);
  return `${file}:${line === null ? "" : `${line}:`} ${word} ${message}\n`;
}

async function check({ flags, world }: CommandContext, arg: string): Promise<readonly Finding[]> {
  if (arg === STDIN) return checkUnitFile(mangleUnitName(flags.text("name")), await world.readStdin());
  const name = mangleUnitName(arg);
  const folder = arg.slice(0, arg.lastIndexOf("/") + 1);
  try {
    const bytes = world.readFile(`${folder}${name}`) ?? world.readFile(`${folder}${templateOf(name)}`);
    if (bytes !== null) return checkUnitFile(name, bytes);
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
    return [wholeFile(error.message)];
  }
  const isMisnamed = name !== arg.slice(folder.length) && world.exists(arg);
  return [wholeFile(isMisnamed ? `The file's name is no unit name: flt looks for "${name}"` : "There is no such file")];
}

/** A name that no file has, where there is no template. */
function templateOf(name: string): string {
  const { template } = parseUnitName(name);
  return template === "" ? name : template;
}

function wholeFile(message: string): Finding {
  return { kind: "error", line: null, message };
}
