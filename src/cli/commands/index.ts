/**
 * All commands, in the order in which the help lists them.
 *
 * @module
 */
import type { Command } from "../command.ts";
import { cat } from "./cat.ts";
import { completion } from "./completion.ts";
import { destroy } from "./destroy.ts";
import { events } from "./events.ts";
import { fdForward } from "./fd-forward.ts";
import { help } from "./help.ts";
import { install } from "./install.ts";
import { isActive, isFailed } from "./is-active.ts";
import { journal } from "./journal.ts";
import { listDependencies } from "./list-dependencies.ts";
import { listMachines } from "./list-machines.ts";
import { listUnitFiles } from "./list-unit-files.ts";
import { listUnits } from "./list-units.ts";
import { load } from "./load.ts";
import { restart } from "./restart.ts";
import { show } from "./show.ts";
import { ssh } from "./ssh.ts";
import { start } from "./start.ts";
import { status } from "./status.ts";
import { stop } from "./stop.ts";
import { submit } from "./submit.ts";
import { top } from "./top.ts";
import { unload } from "./unload.ts";
import { validate } from "./validate.ts";
import { verify } from "./verify.ts";
import { version } from "./version.ts";

export const COMMANDS: readonly Command[] = [
  submit,
  load,
  start,
  stop,
  unload,
  restart,
  destroy,
  cat,
  validate,
  listUnits,
  listUnitFiles,
  listMachines,
  listDependencies,
  isActive,
  isFailed,
  status,
  show,
  journal,
  events,
  top,
  ssh,
  fdForward,
  install,
  completion,
  verify,
  version,
  help,
];
