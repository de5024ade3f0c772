/**
 * flt.unit(5): what a unit file can ask of the cluster, in its section [X-Flt].
 *
 * @module
 */
import { PLACEMENT_OPTIONS, type PlacementOption } from "../../model/requirements.ts";
import { type Page, term, text, verbatim } from "./roff.ts";

interface OptionText {
  readonly value: string;
  readonly help: string;
}

const OPTIONS: Readonly<Record<PlacementOption, OptionText>> = {
  MachineID: {
    value: "ID",
    help: "Only on this machine, by its full id or its first 8 digits. Not with MachineOf, Conflicts, Global or Replaces.",
  },
  MachineOf: {
    value: "UNIT...",
    help: "Only on the machine that has this unit, and after it when it moves. While that is nowhere, this is nowhere.",
  },
  MachineMetadata: {
    value: '"KEY=VALUE"...',
    help: "Only on machines with this metadata. Of several values for one key any will do; each key must be met.",
  },
  Conflicts: {
    value: "PATTERN...",
    help: "Never on a machine with another unit whose name matches. It holds both ways.",
  },
  Global: {
    value: "true|false",
    help: "One on each machine that fits. Only with MachineMetadata and Conflicts.",
  },
  Replaces: {
    value: "PATTERN...",
    help: "Units whose names match leave the machine that gets this one, and go to another that fits.",
  },
  Fence: {
    value: "strict|none",
    help:
      "strict: the unit is never to run on two machines. See FENCED UNITS. Not with Global=true, nor with RefuseManualStop=true in [Unit]. " +
      "Default: none.",
  },
};

export function unitPage(): Page {
  return {
    name: "flt.unit",
    section: 5,
    summary: "what a unit file asks of an flt cluster",
    synopsis: ["[X-Flt]"],
    sections: [
      {
        title: "DESCRIPTION",
        blocks: [
          text(
            "A unit file is systemd's (systemd.unit(5)). Its section [X-Flt], which may as well be called [X-Fleet], says which machines the unit " +
              "may have; systemd leaves it alone. Lists are separated by blanks, with quotes where a value has blanks of its own, and an option may be " +
              "repeated. %n is the unit's full name, %N the name without its suffix, %p the prefix and %i the instance. flt-validate(1) checks a file.",
          ),
        ],
      },
      {
        title: "OPTIONS",
        blocks: PLACEMENT_OPTIONS.map((name) => term(`${name}=${OPTIONS[name].value}`, OPTIONS[name].help)),
      },
      { title: "FENCED UNITS", blocks: FENCED },
      {
        title: "EXAMPLES",
        blocks: [
          verbatim("[X-Flt]", 'MachineMetadata="disk=ssd"', "Conflicts=web@*.service"),
          verbatim("[X-Flt]", "Fence=strict"),
        ],
      },
    ],
    seeAlso: ["flt(1)", "flt-validate(1)", "flt-start(1)", "systemd.unit(5)"],
  };
}

const FENCED = [
  text(
    "Without Fence=strict flt keeps a unit where it is for as long as its machine may be alive, and places it elsewhere when the machine is " +
      "dead as far as anybody can tell. A machine that is cut off from all others looks dead, and runs on: until it is back, the unit runs twice. " +
      "Where two at once would do harm, as with a writer of shared data, Fence=strict turns this round: better none than two.",
  ),
  text(
    "Each machine has a timer in its systemd, which flt puts off as long as the cluster answers. When it has not for 3 seconds more than " +
      "agent_ttl, systemd stops the unit, whether the daemon lives or not, and kills it 5 seconds later. 10 seconds after the end of agent_ttl it is " +
      "placed elsewhere. A machine that gets the unit says so to the others, and starts it only when no other one has it.",
  ),
  text(
    "The price: the unit is stopped when its machine has no contact, be it a cut that harms nobody else or a cluster without quorum, and runs " +
      "again once there is contact. After the loss of any machine no fenced unit starts anywhere for 10 seconds: nobody knows what that one " +
      "ran. A start costs one more write. When a host's daemon is stopped, its fenced units have 28 seconds to stop before they are killed.",
  ),
  text(
    "The fence is round what flt starts. What starts the unit besides, its socket or timer or a dependency of another unit, does not ask; " +
      "flt stops that, too, before it gives the unit away. A host that is suspended does not count the time: fence it by other means.",
  ),
];
