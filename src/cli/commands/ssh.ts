/**
 * flt ssh: a shell or a command on a machine of the cluster.
 *
 * @module
 */
import type { MachineEntity } from "../../model/entities.ts";
import { mangleUnitName } from "../../model/unit-name.ts";
import { CliError, type Command, type CommandContext, EXIT_FAILED, note } from "../command.ts";
import { runOnMachine } from "../ssh/machine-shell.ts";
import { SSH_PORT_FLAG } from "./shared-flags.ts";

export const ssh: Command = {
  name: "ssh",
  usage: "[-A|--forward-agent] [--ssh-port=N] [--machine=ID|--unit=UNIT] [MACHINE|UNIT] [COMMAND...]",
  summary: "Open a shell on a machine, or run a command there",
  description:
    "The machine is named by its id, or by any beginning of it that no other has; or by a unit that is there. From the first " +
    "argument on the words are the command's. Ends with its exit status.",
  examples: ["ssh 113f16a7", "ssh hello.service", "ssh -A --machine=113f16a7 ls -l /run/flt"],
  flags: [
    { name: "machine", value: "ID", fallback: "", help: "The machine to go to" },
    { name: "unit", value: "UNIT", fallback: "", help: "The unit to whose machine to go" },
    { name: "forward-agent", short: "A", fallback: "false", help: "Let the far side use this side's ssh-agent" },
    SSH_PORT_FLAG,
  ],
  takesCommand: true,
  async run(context) {
    const { flags } = context;
    const words = [...context.args];
    const machine = flags.text("machine");
    const unit = flags.text("unit");
    if (machine !== "" && unit !== "") {
      note(context, "Both --machine and --unit are given: one of them must do");
      return EXIT_FAILED;
    }
    const first = machine === "" && unit === "" ? words.shift() : "";
    if (first === undefined) {
      note(context, "Provide one machine or unit");
      return EXIT_FAILED;
    }
    const host = addressOf(await findMachine(context, { machine, unit, either: first }));
    const remoteLine = words.length === 0 ? null : words.join(" ");
    return await runOnMachine(context, { host, remoteLine, forwardsAgent: flags.isOn("forward-agent") });
  },
};

interface Wanted {
  readonly machine: string;
  readonly unit: string;
  /** One or the other. */
  readonly either: string;
}

async function findMachine(context: CommandContext, wanted: Wanted): Promise<MachineEntity> {
  const machines = await context.client.machines(context.world.signal);
  if (wanted.machine !== "") return theMachine(machines, wanted.machine);
  if (wanted.unit !== "") {
    const holder = await machineOfUnit(context, machines, wanted.unit);
    if (holder === null) throw new CliError(`Cannot find unit "${mangleUnitName(wanted.unit)}": it does not exist`);
    return holder;
  }
  const matches = withPrefix(machines, wanted.either);
  const holder = await machineOfUnit(context, machines, wanted.either);
  if (matches.length > 0 && holder !== null) {
    throw new CliError(`Both a machine and a unit are called "${wanted.either}": say --machine or --unit`);
  }
  if (holder !== null) return holder;
  if (matches.length > 0) return theMachine(machines, wanted.either);
  throw new CliError(`Cannot find "${wanted.either}": there is neither a machine nor a unit of this name`);
}

function withPrefix(machines: readonly MachineEntity[], prefix: string): readonly MachineEntity[] {
  return machines.filter((machine) => machine.id.startsWith(prefix.toLowerCase()));
}

function theMachine(machines: readonly MachineEntity[], prefix: string): MachineEntity {
  const matches = withPrefix(machines, prefix);
  const [only] = matches;
  if (only === undefined) throw new CliError(`Cannot find machine "${prefix}": no machine's id begins so`);
  if (matches.length === 1) return only;
  throw new CliError(`Cannot choose machine "${prefix}": ${matches.length} ids begin so`);
}

/** null: there is no such unit. */
async function machineOfUnit(
  context: CommandContext,
  machines: readonly MachineEntity[],
  word: string,
): Promise<MachineEntity | null> {
  const { client, world } = context;
  const name = mangleUnitName(word);
  const unit = await client.unit(name, world.signal);
  if (unit === null) return null;
  const placed = unit.machineID ?? "";
  const states = placed === "" ? await client.states({ unitName: name }, world.signal) : [];
  const ids = placed === "" ? states.map((state) => state.machineID ?? "") : [placed];
  const [id] = ids;
  if (id === undefined) throw new CliError(`Cannot go to unit "${name}": it is on no machine`);
  if (ids.length > 1) throw new CliError(`Cannot go to unit "${name}": it is on ${ids.length} machines; say --machine`);
  const machine = machines.find((candidate) => candidate.id === id);
  if (machine === undefined) throw new CliError(`Cannot go to unit "${name}": its machine ${id} is not registered`);
  return machine;
}

function addressOf(machine: MachineEntity): string {
  if ((machine.primaryIP ?? "") !== "") return machine.primaryIP ?? "";
  throw new CliError(`Cannot go to machine "${machine.id}": it has told no address`);
}
