/**
 * Every route of the API: the one table that the router, the discovery document and the OpenAPI document read.
 *
 * Not here. How a path is matched and a refusal answered (index.ts), what the handlers do.
 *
 * @module
 */
import { changeUnits } from "./batch.ts";
import type { Call } from "./call.ts";
import { json } from "./http.ts";
import { getState, listMachines, listStates } from "./lists.ts";
import { patchMachines } from "./metadata.ts";
import type { AnswerContent, Parameter, Route } from "./route.ts";
import { unitDependencies, unitJournal, unitProperties, unitStatus } from "./streams.ts";
import { deleteUnit, getReasons, getUnit, listUnitNames, listUnits, putUnit } from "./units.ts";
import { getUsage } from "./usage.ts";
import { getEvents, postEvents } from "./watch.ts";

const NEXT_PAGE: Parameter = {
  name: "nextPageToken",
  type: "string",
  description: "Of the page before; absent for the first page",
};
const MACHINE_ID: Parameter = {
  name: "machineID",
  type: "string",
  description: "The machine to ask, where several hold the unit; the beginning of its id will do",
};
/** Where a unit's machine is asked: it is on none, its daemon takes no calls, is out of reach, or was lost in the middle. */
const MACHINE_REFUSALS = [404, 409, 501, 502, 504];
const TEXT: AnswerContent = { description: "What the command prints there", mediaType: "text/plain" };
const EVENT_LINES: AnswerContent = {
  description: "One event a line, until the reader leaves",
  entity: "Event",
  mediaType: "application/x-ndjson",
};
const ABOUT_EVENTS = `A stream of lines, each an event as JSON. It tells what things *are*, not what happened to them: first
everything that was asked for, then "synced", then a line for whatever changed, in its present state. Ten changes while the reader was
slow are one line. After "reset" the whole picture comes again, up to the next "synced": forget what was known. Nothing
happens: "keep-alive" every 5 s; a reader that hears nothing for 15 s should connect anew. Without unitName it is about everything,
machines included; unknown names are followed until they appear.`;

const ABOUT_USAGE = `A stream of lines, each what one machine and the units that run there use at a moment. cpuNs is CPU time since the
unit was started, so that a rate takes two samples; atMs is the machine's own clock, for the time between them. What systemd does not
account for is absent. A machine that cannot be asked, or has so many units that its line
would be longer than 1 MiB (unitName asks for some of them), has a line with "problem", and is asked again.`;

const UNITS: readonly Route[] = [
  {
    path: ["units"],
    methods: {
      GET: {
        handler: listUnits,
        id: "listUnits",
        discovery: { resource: "Units", method: "List", id: "fleet.Unit.List" },
        summary: "Retrieve a page of Unit objects, by name",
        query: [NEXT_PAGE],
        answers: { 200: { description: "A page of units", entity: "UnitPage" } },
      },
    },
  },
  {
    path: ["units", "*"],
    methods: {
      GET: {
        handler: getUnit,
        id: "getUnit",
        discovery: { resource: "Units", method: "Get", id: "fleet.Unit.Get" },
        summary: "Retrieve a single Unit object",
        answers: { 200: { description: "The unit", entity: "Unit", fltEntity: "UnitDetail" } },
        refusals: [404],
      },
      PUT: {
        handler: putUnit,
        id: "setUnit",
        discovery: { resource: "Units", method: "Set", id: "fleet.Unit.Set" },
        summary: "Create a Unit, replace its file, or change its desired state",
        body: "UnitPut",
        answers: { 201: { description: "Created or replaced" }, 204: { description: "Its state is as wanted" } },
        refusals: [409, 413, 415],
      },
      DELETE: {
        handler: deleteUnit,
        id: "deleteUnit",
        discovery: { resource: "Units", method: "Delete", id: "fleet.Unit.Delete" },
        summary: "Delete the referenced Unit object",
        answers: { 204: { description: "Deleted" } },
        refusals: [404],
      },
    },
  },
  {
    path: ["unit-names"],
    fltOnly: true,
    methods: {
      GET: {
        handler: listUnitNames,
        id: "listUnitNames",
        summary: "The names of all units, or of those that a pattern describes, sorted, in one answer",
        query: [
          {
            name: "pattern",
            type: "string",
            description: "Shell pattern of * ? [a-c] [!a-c], as systemctl takes them; may repeat",
            repeated: true,
          },
        ],
        answers: { 200: { description: "The names", entity: "UnitNames" } },
      },
    },
  },
  {
    path: ["units:batch"],
    fltOnly: true,
    methods: {
      POST: {
        handler: changeUnits,
        id: "changeUnits",
        summary: "Change many units in one request",
        description:
          "Each unit, named once, is what its own PUT would take, or is deleted. What can be written together is; each " +
          "unit has its own status, and one that is refused does not keep the others from being done.",
        body: "UnitBatch",
        answers: { 200: { description: "A status for each unit, in their order", entity: "UnitBatchResult" } },
        refusals: [413, 415],
      },
    },
  },
  {
    path: ["units", "*", "status"],
    fltOnly: true,
    methods: {
      GET: {
        handler: unitStatus,
        id: "getUnitStatus",
        summary: "systemctl status, from the machine that holds the unit",
        query: [MACHINE_ID],
        answers: { 200: TEXT },
        refusals: MACHINE_REFUSALS,
      },
    },
  },
  {
    path: ["units", "*", "journal"],
    fltOnly: true,
    methods: {
      GET: {
        handler: unitJournal,
        id: "getUnitJournal",
        summary: "journalctl, from the machine that holds the unit",
        query: [
          MACHINE_ID,
          { name: "lines", type: "string", description: "How many of the last lines, or all; 10 unless told" },
          { name: "since", type: "string", description: "Nothing older than this time, as journalctl takes it" },
          { name: "follow", type: "boolean", description: "Go on with what is logged from now on" },
          { name: "output", type: "string", description: "One of journalctl's output modes" },
        ],
        answers: { 200: TEXT },
        refusals: MACHINE_REFUSALS,
      },
    },
  },
  {
    path: ["units", "*", "properties"],
    fltOnly: true,
    methods: {
      GET: {
        handler: unitProperties,
        id: "getUnitProperties",
        summary: "systemctl show, from the machine that holds the unit",
        query: [
          MACHINE_ID,
          { name: "property", type: "string", description: "Only this property; may repeat", repeated: true },
        ],
        answers: { 200: TEXT },
        refusals: MACHINE_REFUSALS,
      },
    },
  },
  {
    path: ["units", "*", "dependencies"],
    fltOnly: true,
    methods: {
      GET: {
        handler: unitDependencies,
        id: "getUnitDependencies",
        summary: "systemctl list-dependencies, from the machine that holds the unit",
        query: [
          MACHINE_ID,
          { name: "direction", type: "string", description: "requires (unless told), reverse, before or after" },
          { name: "all", type: "boolean", description: "Every branch, not just those of targets" },
          { name: "plain", type: "boolean", description: "A list instead of a tree" },
        ],
        answers: { 200: TEXT },
        refusals: MACHINE_REFUSALS,
      },
    },
  },
  {
    path: ["units", "*", "reasons"],
    fltOnly: true,
    methods: {
      GET: {
        handler: getReasons,
        id: "getUnitReasons",
        summary: "Why the unit is on no machine: one reason per machine",
        answers: { 200: { description: "The reasons; none when nothing is in its way", entity: "Reasons" } },
        refusals: [404],
      },
    },
  },
];

const STATE: readonly Route[] = [
  {
    path: ["state"],
    methods: {
      GET: {
        handler: listStates,
        id: "listStates",
        discovery: { resource: "UnitState", method: "List", id: "fleet.UnitState.List" },
        summary: "Retrieve a page of UnitState objects, by unit name and machine",
        query: [
          NEXT_PAGE,
          { name: "unitName", type: "string", description: "Only of this unit" },
          { name: "machineID", type: "string", description: "Only on this machine" },
        ],
        answers: { 200: { description: "A page of states", entity: "UnitStatePage" } },
      },
    },
  },
  {
    path: ["state", "*"],
    methods: {
      GET: {
        handler: getState,
        id: "getState",
        discovery: { resource: "UnitState", method: "Get", id: "fleet.UnitState.Get" },
        summary: "Retrieve the UnitState of one unit",
        answers: { 200: { description: "Its state", entity: "UnitState" } },
        refusals: [404],
      },
    },
  },
];

const REST: readonly Route[] = [
  {
    path: ["machines"],
    methods: {
      GET: {
        handler: listMachines,
        id: "listMachines",
        discovery: { resource: "Machines", method: "List", id: "fleet.Machine.List" },
        summary: "Retrieve a page of Machine objects, by id",
        query: [NEXT_PAGE],
        answers: { 200: { description: "A page of machines", entity: "MachinePage" } },
      },
      PATCH: {
        handler: patchMachines,
        id: "patchMachines",
        discovery: { resource: "Machines", method: "Patch", id: "fleet.Machine.Patch" },
        summary: "Edit machines' metadata",
        description:
          'A JSON Patch of add, remove and replace on "/MACHINE/metadata/KEY". All are checked before any is done. A machine need ' +
          "not be registered; edits outlive its absence, win over its configuration, and a removed key hides the configured one.",
        body: "MachinePatch",
        answers: { 204: { description: "Done, all of it" } },
        refusals: [413],
      },
    },
  },
  {
    path: ["events"],
    fltOnly: true,
    methods: {
      GET: {
        handler: getEvents,
        id: "watchEvents",
        summary: "What is, and then every change",
        description: ABOUT_EVENTS,
        query: [{ name: "unitName", type: "string", description: "Only about this unit; may repeat", repeated: true }],
        answers: { 200: EVENT_LINES },
      },
      POST: {
        handler: postEvents,
        id: "watchEventsOf",
        summary: "The same for more names than a URL holds",
        description: ABOUT_EVENTS,
        body: "EventsRequest",
        readsOnly: true,
        answers: { 200: EVENT_LINES },
        refusals: [413, 415],
      },
    },
  },
  {
    path: ["usage"],
    fltOnly: true,
    methods: {
      GET: {
        handler: getUsage,
        id: "watchUsage",
        summary: "What units and machines use: CPU time, memory, tasks, from systemd's accounting",
        description: ABOUT_USAGE,
        query: [
          { name: "machineID", type: "string", description: "Only on this machine; may repeat", repeated: true },
          {
            name: "unitName",
            type: "string",
            description: "Only of this unit, or pattern; may repeat",
            repeated: true,
          },
          { name: "follow", type: "boolean", description: "Go on with a sample a machine in each interval" },
          { name: "intervalMs", type: "integer", description: "From 250 to 60,000; 2,000 unless told" },
        ],
        answers: {
          200: {
            description: "One sample a line, of one machine; or why it has none",
            entity: "UsageEvent",
            mediaType: "application/x-ndjson",
          },
        },
        refusals: [404, 501],
      },
    },
  },
  {
    path: ["version"],
    fltOnly: true,
    methods: {
      GET: {
        handler: getVersion,
        id: "getVersion",
        summary: "Who answers, who leads as far as it knows, and what is wrong with the cluster's data, if anything is",
        answers: { 200: { description: "The version", entity: "Version" } },
      },
    },
  },
  {
    path: ["discovery"],
    methods: {
      GET: {
        handler: getDiscovery,
        id: "getDiscovery",
        summary: "This API as a Google discovery document",
        answers: { 200: { description: "The document", mediaType: "application/json" } },
      },
    },
  },
  {
    path: ["openapi.json"],
    fltOnly: true,
    methods: {
      GET: {
        handler: getOpenApi,
        id: "getOpenApi",
        summary: "This API as an OpenAPI document",
        answers: { 200: { description: "The document", mediaType: "application/json" } },
      },
    },
  },
];

export const ROUTES: readonly Route[] = [...UNITS, ...STATE, ...REST];

async function getVersion(call: Call): Promise<Response> {
  const { ports } = call;
  const leader = ports.leader?.() ?? null;
  const alarms = ports.alarms?.() ?? [];
  return json(200, {
    version: ports.version,
    machineID: ports.machineId,
    ...(leader === null ? {} : { leader }),
    ...(alarms.length === 0 ? {} : { alarms }),
  });
}

/** Hardly anybody asks for these: what makes them is loaded by whoever does first. */
async function getDiscovery(call: Call): Promise<Response> {
  const { discoveryDocument } = await import("./discovery.ts");
  return json(200, discoveryDocument(ROUTES, call.prefix));
}

async function getOpenApi(call: Call): Promise<Response> {
  const { openApiDocument } = await import("./openapi.ts");
  return json(200, openApiDocument(ROUTES, call.ports.version));
}
