/**
 * flt events: what there is in the cluster, and what changes, as it changes.
 *
 * @module
 */
import type { FleetEvent } from "../../model/events.ts";
import { compileUnitPattern, isUnitPattern, matchesSome } from "../../model/unit-pattern.ts";
import { CliError, type Command, type CommandContext, EXIT_OK } from "../command.ts";
import { EventLog } from "../event-log.ts";
import { followEvents } from "../event-stream.ts";
import { machineIdLegend, machineLegend } from "../legend.ts";
import { unitArguments } from "../resolve.ts";
import { argumentPatterns, idPrefix } from "./filters.ts";
import { MACHINE_FILTER_FLAG } from "./shared-flags.ts";

export const events: Command = {
  name: "events",
  usage: "[-f|--follow] [--all] [-o FORMAT] [-M ID] [UNIT|PATTERN...]",
  summary: "Show what happens in the cluster, as it happens",
  description:
    "Without --follow: a line for each machine, unit and state that there is now. With it: a line for each change from now on, with the time " +
    "at which it was heard, until Ctrl-C; connections that break are made again. Units narrow it to what concerns them, --machine to what " +
    "happens there. -o json prints the API's own lines, one JSON object each.",
  examples: ["events", "events -f", "events -f 'web@*'", "events -f -M 113f16a7", "events -f --all -o json"],
  flags: [
    { name: "follow", short: "f", fallback: "false", help: "Go on with each change as it comes" },
    { name: "all", short: "a", fallback: "false", help: "With --follow: first what there is already" },
    {
      name: "output",
      short: "o",
      value: "FORMAT",
      fallback: "text",
      help: "text, json (one object a line)",
      choices: ["text", "json"],
    },
    { ...MACHINE_FILTER_FLAG, help: "Only about this machine, named by its id or the beginning of it; may repeat" },
  ],
  async run(context) {
    const { flags, world } = context;
    const output = flags.text("output");
    if (output !== "text" && output !== "json") throw new CliError(`Unknown output "${output}": use text or json`);
    const isWanted = eventFilter(context);
    const isFollowing = flags.isOn("follow");
    const log = new EventLog();
    let isShown = !isFollowing || flags.isOn("all");
    for await (const event of followEvents(context, namesToAskFor(context), world.signal)) {
      const news = log.take(event);
      if (isShown) {
        const lines = news.filter(isWanted).map((item) => asText(context, item, output === "json"));
        if (lines.length > 0) world.out(lines.join(""));
      }
      if (event.type === "synced") {
        if (!isFollowing) return EXIT_OK;
        isShown = true;
      }
    }
    return EXIT_OK;
  },
};

/** The cluster looks names up; patterns are looked at here, since they are about units that are still to come, too. */
function namesToAskFor({ args }: CommandContext): readonly string[] {
  return args.some(isUnitPattern) ? [] : unitArguments(args).map(({ name }) => name);
}

function eventFilter({ args, flags }: CommandContext): (event: FleetEvent) => boolean {
  for (const arg of args) if (isUnitPattern(arg)) compileUnitPattern(arg);
  const patterns = argumentPatterns(args);
  const machines = flags.list("machine").map(idPrefix);
  return (event) => {
    const name = unitOf(event);
    if (name === null ? patterns.length > 0 : !matchesSome(patterns, name)) return false;
    const ids = machinesOf(event);
    return machines.length === 0 || ids.some((id) => machines.some((prefix) => id.startsWith(prefix)));
  };
}

/** null: it is about no unit. */
function unitOf(event: FleetEvent): string | null {
  if (event.type === "state") return event.report.name;
  return "name" in event ? event.name : null;
}

function machinesOf(event: FleetEvent): readonly string[] {
  switch (event.type) {
    case "unit":
      return event.machine === undefined ? [] : [event.machine.id];
    case "state":
      return [event.machine.id];
    case "state-gone":
      return [event.machineID];
    case "reasons":
      return event.reasons.flatMap(({ machine }) => (machine === undefined ? [] : [machine.id]));
    case "machine":
    case "machine-gone":
      return [event.id];
    default:
      return [];
  }
}

function asText({ flags, world }: CommandContext, event: FleetEvent, isJson: boolean): string {
  if (isJson) return `${JSON.stringify(event)}\n`;
  return `${flags.isOn("follow") ? `${timeOf(world.wallClock())} ` : ""}${sentence(event)}\n`;
}

/** In local time, as journalctl's short-full without the zone. */
function timeOf(at: Date): string {
  const two = (number: number): string => String(number).padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

function sentence(event: FleetEvent): string {
  switch (event.type) {
    case "machine":
      return `machine ${machineLegend(event.id, event.primaryIP)} is here${pairs(event.metadata)}`;
    case "machine-gone":
      return `machine ${machineIdLegend(event.id)} has left`;
    case "unit":
      return `${event.name} wanted ${event.desiredState}${placeOf(event)}`;
    case "unit-gone":
      return `${event.name} destroyed`;
    case "state":
      return stateSentence(event);
    case "state-gone":
      return `${event.name} unloaded from ${machineIdLegend(event.machineID)}`;
    case "reasons":
      return `${event.name} ${reasonsOf(event)}`;
    default:
      return event.type;
  }
}

function pairs(metadata: Readonly<Record<string, string>>): string {
  const all = Object.entries(metadata).map(([key, value]) => `${key}=${value}`);
  return all.length === 0 ? "" : ` with ${all.sort().join(",")}`;
}

function placeOf({ desiredState, global, machine }: Extract<FleetEvent, { type: "unit" }>): string {
  if (machine !== undefined) return ` on ${machineLegend(machine.id, machine.primaryIP)}`;
  if (desiredState === "inactive") return "";
  return global ? " on every machine that fits" : ", on no machine yet";
}

function stateSentence({ machine, report }: Extract<FleetEvent, { type: "state" }>): string {
  const result = report.result === undefined ? "" : `, result ${report.result}`;
  const pending = report.pending === undefined ? "" : `, ${report.pending} under way`;
  const problem = report.problem === undefined ? "" : `: ${report.problem}`;
  const where = machineLegend(machine.id, machine.primaryIP);
  return `${report.name} ${report.active} (${report.sub}${result}) on ${where}${pending}${problem}`;
}

function reasonsOf({ reasons }: Extract<FleetEvent, { type: "reasons" }>): string {
  if (reasons.length === 0) return "has nothing in its way any more";
  const all = reasons.map(({ machine, reason }) => {
    return machine === undefined ? reason : `${machineIdLegend(machine.id)}: ${reason}`;
  });
  return `cannot be placed: ${all.join("; ")}`;
}
