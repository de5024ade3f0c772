/**
 * flt(1) and a page for each command, flt-start(1) and so on: made from the table that the help is made from.
 *
 * @module
 */
import type { Command } from "../command.ts";
import { EXIT_STATUSES } from "../exit-statuses.ts";
import type { Flag } from "../flags.ts";
import { GLOBAL_FLAGS } from "../global-flags.ts";
import { type Block, type Page, type Section, term, text, verbatim } from "./roff.ts";

const OTHERS = ["flt-daemon(8)", "flt.conf(5)", "flt.unit(5)"];

/** The client as a whole. */
export function overviewPage(commands: readonly Command[]): Page {
  return {
    name: "flt",
    section: 1,
    summary: "systemd for a cluster",
    synopsis: ["flt [GLOBAL OPTIONS] COMMAND [OPTIONS] [ARGUMENTS]", "flt daemon [FLAGS]"],
    sections: [
      {
        title: "DESCRIPTION",
        blocks: [
          text(
            "Runs systemd units on a cluster as systemctl(1) runs them on a host: by name. The cluster picks a machine that fits, and " +
              "another one when that machine dies.",
          ),
          text(
            "flt is the client; flt daemon, which runs on each machine of the cluster, has a page of its own, flt-daemon(8). The client " +
              "talks to the daemon of its own host, unless --endpoint or --tunnel names another way. It needs root, or membership of the " +
              "group flt.",
          ),
          text("Units are given by name, the suffix .service may be left out, or as paths of unit files."),
        ],
      },
      {
        title: "COMMANDS",
        blocks: [
          text("Any beginning that only one command has will do. Each has a page of its own: flt-start(1), and so on."),
          ...commands.map((command) => term(`${command.name} ${command.usage}`.trimEnd(), command.summary)),
          term("daemon [FLAGS]", "Run a machine of the cluster: flt-daemon(8)"),
        ],
      },
      { title: "GLOBAL OPTIONS", blocks: GLOBAL_FLAGS.map(describeFlag) },
      {
        title: "ENVIRONMENT",
        blocks: [
          text(
            "Each global option is also a variable: --request-timeout is FLTCTL_REQUEST_TIMEOUT, or FLEETCTL_REQUEST_TIMEOUT, which fleet's " +
              "scripts set. The command line wins over FLTCTL_, which wins over FLEETCTL_.",
          ),
        ],
      },
      exitStatus(),
      {
        title: "FILES",
        blocks: [
          term("/run/flt.sock", "The API of this host's daemon."),
          term("~/.flt/known_hosts", "Keys of the hosts that --tunnel and ssh have seen."),
        ],
      },
      { title: "EXAMPLES", blocks: [verbatim(...commands.flatMap(({ examples }) => examples.slice(0, 1)).map(typed))] },
    ],
    seeAlso: [...commands.map(({ name }) => `flt-${name}(1)`), ...OTHERS, "systemctl(1)", "systemd.unit(5)"],
  };
}

export function commandPage(command: Command): Page {
  const options = command.flags.map(describeFlag);
  return {
    name: `flt-${command.name}`,
    section: 1,
    summary: lowerFirst(command.summary),
    synopsis: [`flt ${command.name} ${command.usage}`.trimEnd()],
    sections: [
      { title: "DESCRIPTION", blocks: [text(`${command.summary}. ${command.description}`)] },
      {
        title: "OPTIONS",
        blocks: [...options, text("The options of all commands, --endpoint and --tunnel among them, are in flt(1).")],
      },
      exitStatus(),
      { title: "EXAMPLES", blocks: [verbatim(...command.examples.map(typed))] },
    ],
    seeAlso: ["flt(1)", ...OTHERS],
  };
}

function exitStatus(): Section {
  return { title: "EXIT STATUS", blocks: EXIT_STATUSES.map(([status, meaning]) => term(`${status}`, meaning)) };
}

function describeFlag(flag: Flag): Block {
  const names = flag.short === undefined ? `--${flag.name}` : `-${flag.short}, --${flag.name}`;
  const hasDefault = flag.value !== undefined && (flag.fallback ?? "") !== "";
  return term(
    flag.value === undefined ? names : `${names}=${flag.value}`,
    `${flag.help}.${hasDefault ? ` Default: ${flag.fallback}.` : ""}`,
  );
}

function typed(example: string): string {
  return `flt ${example}`;
}

/** whatis(1) shows summaries as parts of a sentence. A word that is upper case throughout stays so. */
function lowerFirst(words: string): string {
  return /^[A-Z][a-z]/.test(words) ? `${words.charAt(0).toLowerCase()}${words.slice(1)}` : words;
}
