/**
 * Flags that several commands share.
 *
 * @module
 */
import { UNIT_SUFFIXES } from "../../model/unit-name.ts";
import type { Flag } from "../flags.ts";
import { LIST_OUTPUTS } from "./list.ts";

export const BLOCK_FLAGS: readonly Flag[] = [
  {
    name: "no-block",
    fallback: "false",
    help: "Return as soon as the change is asked for (always so for global units)",
  },
  {
    name: "block-attempts",
    value: "N",
    fallback: "0",
    help: "Give up waiting after N times 2 seconds; 0 waits for ever",
  },
];

export const UPLOAD_FLAGS: readonly Flag[] = [
  { name: "replace", fallback: "false", help: "Replace the unit in the cluster with the local file" },
  { name: "sign", fallback: "false", help: "Refused: signed units are gone" },
];

export const MACHINE_FILTER_FLAG: Flag = {
  name: "machine",
  short: "M",
  value: "ID",
  isList: true,
  fallback: "",
  help: "Only what is on this machine, named by its id or the beginning of it; may repeat",
};

/** @param fields Those that are shown unless others are asked for. */
export const TABLE_FLAGS = (fields: string, allFields: readonly string[]): readonly Flag[] => [
  { name: "full", short: "l", fallback: "false", help: "Show ids and hashes in full" },
  { name: "no-legend", fallback: "false", help: "Leave the headings out" },
  { name: "fields", value: "LIST", fallback: fields, help: "Columns, separated by commas", choices: allFields },
  {
    name: "output",
    short: "o",
    value: "FORMAT",
    fallback: "table",
    help: "table, wide (all columns), json (one array, on one line), json-pretty, yaml",
    choices: LIST_OUTPUTS,
  },
  MACHINE_FILTER_FLAG,
];

/** Only units of some kind. @param states Where these are all that there are, the shell need not ask the cluster for those in use. */
export const UNIT_FILTER_FLAGS = (states?: readonly string[]): readonly Flag[] => [
  {
    name: "type",
    short: "t",
    value: "LIST",
    isList: true,
    fallback: "",
    help: "Only units of these types, as in service,timer; --type=help lists them",
    choices: UNIT_SUFFIXES,
  },
  {
    name: "state",
    value: "LIST",
    isList: true,
    fallback: "",
    help: "Only units that are in one of these states; --state=help lists them",
    ...(states !== undefined && { choices: states }),
  },
];

export const QUIET_FLAG: Flag = {
  name: "quiet",
  short: "q",
  fallback: "false",
  help: "Print nothing; the exit status says it",
};

/** Without it nobody needs an SSH daemon: flt asks the unit's machine through its own. */
export const SSH_PORT_FLAG: Flag = {
  name: "ssh-port",
  value: "PORT",
  fallback: "22",
  help: "Port of the machine's SSH daemon",
};
export const SSH_INSTEAD_FLAG: Flag = { ...SSH_PORT_FLAG, help: "Ask the machine through SSH, at this port" };
