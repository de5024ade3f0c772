/**
 * flt show: properties of units as `Name=value`, for scripts: systemd's from the unit's machine, and the cluster's own.
 *
 * Idea. systemctl's own words are passed on, so that a property looks as it does on the machine. What only flt knows (where the unit is, what
 * is wanted of it, why it is nowhere) follows in the same form. A machine is asked only for properties that are systemd's.
 *
 * @module
 */
import { textLines } from "../../lib/lines.ts";
import { isPropertyName, PROPERTIES_MAX } from "../../model/property-name.ts";
import { CliError, type Command, type CommandContext, EXIT_FAILED, EXIT_OK, note } from "../command.ts";
import type { UnitPicture } from "../picture.ts";
import { selectUnits } from "../select.ts";
import { shellLine } from "../ssh/arguments.ts";
import { UnitWatch } from "../watch.ts";
import { asksBySsh, type Holder, holdersOf, isMissingRoute, onEachBySsh } from "./machine-text.ts";
import { SSH_INSTEAD_FLAG } from "./shared-flags.ts";

/** A property may occur several times (Reason, one a machine). */
type Property = readonly [name: string, value: string];

const OWN_PROPERTIES = [
  "Machine",
  "MachineIP",
  "DesiredState",
  "CurrentState",
  "Global",
  "Hash",
  "Reason",
  "Problem",
] as const;
const LINE_MAX_LENGTH = 16 * 1_048_576;

export const show: Command = {
  name: "show",
  usage: "[-p|--property=LIST] [--value] [-P LIST] [-o FORMAT] UNIT...",
  summary: "Show properties of units, from the machines that hold them",
  description:
    "Prints what `systemctl show` prints on the unit's machine, and after it what only the cluster knows: " +
    `${OWN_PROPERTIES.join(", ")}. Units, and the machines of a global unit, are apart by empty lines. A unit that is on no machine has ` +
    "LoadState=stub, one that does not exist LoadState=not-found; neither is an error, as with systemctl.",
  examples: [
    "show hello.service",
    "show -p ActiveState -p Machine hello.service",
    "show -P MainPID hello.service",
    "show -o json --property=Id,MemoryCurrent 'web@*'",
  ],
  flags: [
    { name: "property", short: "p", value: "LIST", isList: true, fallback: "", help: "Only these; may repeat" },
    { name: "value", fallback: "false", help: "Print the values without their names" },
    {
      name: "print",
      short: "P",
      value: "LIST",
      isList: true,
      fallback: "",
      help: "The same as --value --property=LIST",
    },
    {
      name: "output",
      short: "o",
      value: "FORMAT",
      fallback: "text",
      help: "text, json (one array, on one line), json-pretty",
      choices: ["text", "json", "json-pretty"],
    },
    SSH_INSTEAD_FLAG,
  ],
  pages: true,
  async run(context) {
    const wish = readWish(context);
    if (context.args.length === 0) {
      note(context, "No units given");
      return EXIT_FAILED;
    }
    const names = (await selectUnits(context)).map((unit) => unit.name);
    if (names.length === 0) return EXIT_OK;
    const watch = await UnitWatch.open(context, names);
    const pictures = names.map((name) => watch.picture.get(name));
    await watch.close();
    const objects: Record<string, string>[] = [];
    let status = EXIT_OK;
    let isFirst = true;
    for (const picture of pictures) {
      for (const holder of placesOf(picture)) {
        if (wish.isData) objects.push(asObject(await dataOf(context, picture, holder, wish.properties)));
        else {
          if (!isFirst) context.world.out("\n");
          status = Math.max(status, await showText(context, picture, holder, wish));
        }
        isFirst = false;
      }
    }
    if (wish.isData) context.world.out(`${JSON.stringify(objects, null, wish.indent)}\n`);
    return status;
  },
};

async function showText(
  context: CommandContext,
  picture: UnitPicture,
  holder: Holder | null,
  wish: Wish,
): Promise<number> {
  const print = (properties: readonly Property[]): void => {
    context.world.out(properties.map(([name, value]) => (wish.isValue ? `${value}\n` : `${name}=${value}\n`)).join(""));
  };
  try {
    if (holder === null || !asksBySsh(context)) {
      print(await propertiesOf(context, picture, holder, wish.properties));
      return EXIT_OK;
    }
  } catch (error) {
    if (holder === null || !isMissingRoute(error)) throw error;
  }
  const systemds = wish.properties.filter((name) => !isOwn(name));
  const isAsked = wish.properties.length === 0 || systemds.length > 0;
  const status = isAsked ? await showBySsh(context, picture.name, holder, { ...wish, properties: systemds }) : EXIT_OK;
  print(ownProperties(picture, holder).filter(isWanted(wish.properties)));
  return status;
}

/** systemctl's own words go straight to where ours go. */
function showBySsh(context: CommandContext, name: string, holder: Holder, wish: Wish): Promise<number> {
  const chosen = wish.properties.map((property) => `--property=${property}`);
  const words = ["systemctl", "show", "--no-pager", ...(wish.isValue ? ["--value"] : []), ...chosen, "--", name];
  return onEachBySsh(context, [holder], shellLine(words));
}

/** What SSH brings goes to the terminal as it is: data takes a machine that can be asked. */
async function dataOf(
  context: CommandContext,
  picture: UnitPicture,
  holder: Holder | null,
  wanted: readonly string[],
): Promise<Property[]> {
  const way = "Leave --output out: as text it comes through SSH";
  if (asksBySsh(context)) throw new CliError(`Cannot show ${picture.name} as JSON with --ssh-port. ${way}`);
  try {
    return await propertiesOf(context, picture, holder, wanted);
  } catch (error) {
    if (!isMissingRoute(error)) throw error;
    throw new CliError(
      `Cannot show ${picture.name} as JSON: its machine's daemon cannot be asked (listen_peer). ${way}`,
    );
  }
}

interface Wish {
  /** Empty: all. */
  readonly properties: readonly string[];
  readonly isValue: boolean;
  readonly isData: boolean;
  readonly indent: number;
}

function readWish({ flags }: CommandContext): Wish {
  const properties = [...new Set([...flags.list("property"), ...flags.list("print")])];
  for (const property of properties) {
    if (!isPropertyName(property)) throw new CliError(`Cannot show "${property}": it is no name of a property`);
  }
  if (properties.length > PROPERTIES_MAX) {
    throw new CliError(`Cannot show ${properties.length} properties: at most ${PROPERTIES_MAX}, or all`);
  }
  const output = flags.text("output");
  if (!["text", "json", "json-pretty"].includes(output)) {
    throw new CliError(`Unknown output "${output}": use one of text, json, json-pretty`);
  }
  return {
    properties,
    isValue: flags.isOn("value") || flags.isGiven("print"),
    isData: output !== "text",
    indent: output === "json-pretty" ? 2 : 0,
  };
}

/** null: it is nowhere, which is shown once, too. */
function placesOf(picture: UnitPicture): readonly (Holder | null)[] {
  const holders = holdersOf(picture);
  return holders.length === 0 ? [null] : holders;
}

async function propertiesOf(
  context: CommandContext,
  picture: UnitPicture,
  holder: Holder | null,
  wanted: readonly string[],
): Promise<Property[]> {
  const own = ownProperties(picture, holder).filter(isWanted(wanted));
  const systemds = wanted.filter((name) => !isOwn(name));
  if (wanted.length > 0 && systemds.length === 0) return own;
  if (holder !== null) return [...(await askMachine(context, picture.name, holder, systemds)), ...own];
  return [...absentProperties(picture).filter(isWanted(wanted)), ...own];
}

function isOwn(name: string): boolean {
  return (OWN_PROPERTIES as readonly string[]).includes(name);
}

/** @param wanted None: all. */
function isWanted(wanted: readonly string[]): (property: Property) => boolean {
  return ([name]) => wanted.length === 0 || wanted.includes(name);
}

async function askMachine(
  { client, world }: CommandContext,
  name: string,
  { id }: Holder,
  wanted: readonly string[],
): Promise<Property[]> {
  const properties: [string, string][] = [];
  const endless = (): Error => new CliError(`Cannot read the properties of ${name}: a line has no end`);
  const chunks = client.properties(name, id, wanted, world.signal);
  for await (const line of textLines(chunks, LINE_MAX_LENGTH, endless)) {
    const [, property, value] = /^([A-Za-z]\w*)=(.*)$/s.exec(line) ?? [];
    const last = properties.at(-1);
    // A value may hold line breaks of its own.
    if (property !== undefined) properties.push([property, value ?? ""]);
    else if (last !== undefined) last[1] += `\n${line}`;
  }
  return properties;
}

/** What systemd would say of a unit that it has not loaded. */
function absentProperties({ name, unit }: UnitPicture): Property[] {
  return [
    ["Id", name],
    ["LoadState", unit === null ? "not-found" : "stub"],
    ["ActiveState", "inactive"],
    ["SubState", "dead"],
  ];
}

function ownProperties({ unit, states, reasons }: UnitPicture, holder: Holder | null): Property[] {
  const report = holder === null ? undefined : states.get(holder.id)?.report;
  const properties: Property[] = [];
  const add = (name: (typeof OWN_PROPERTIES)[number], value: string | undefined): void => {
    if (value !== undefined) properties.push([name, value]);
  };
  add("Machine", holder?.id);
  add("MachineIP", holder?.primaryIP);
  add("DesiredState", unit?.desiredState);
  add("CurrentState", report?.jobState ?? (unit === null ? undefined : "inactive"));
  if (unit !== null) add("Global", unit.global ? "yes" : "no");
  add("Hash", report?.hash ?? unit?.hash);
  for (const { machine, reason } of reasons) add("Reason", machine === undefined ? reason : `${machine.id}: ${reason}`);
  add("Problem", report?.problem);
  return properties;
}

/** Those that occur several times have a line each. */
function asObject(properties: readonly Property[]): Record<string, string> {
  const object: Record<string, string> = {};
  for (const [name, value] of properties) {
    const before = object[name];
    object[name] = before === undefined ? value : `${before}\n${value}`;
  }
  return object;
}
