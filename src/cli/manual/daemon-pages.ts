/**
 * flt-daemon(8) and flt.conf(5): made from the table of options that the daemon itself reads.
 *
 * @module
 */
import { DAEMON_TEXTS, defaultText, withEffect } from "../../config/help.ts";
import { DEFAULT_CONFIG_PATH, FLEET_CONFIG_PATH } from "../../config/load.ts";
import { type ConfigOption, flagName } from "../../config/table.ts";
import { type Block, type Page, term, text, verbatim } from "./roff.ts";

export function daemonPage(): Page {
  return {
    name: "flt-daemon",
    section: 8,
    summary: "run a machine of an flt cluster",
    synopsis: [DAEMON_TEXTS.usage],
    sections: [
      {
        title: "DESCRIPTION",
        blocks: [
          text(DAEMON_TEXTS.summary),
          text(
            "As a rule systemd runs it, as flt.service. Without any option it is a cluster of one machine and opens no port. The units that it " +
              "starts belong to systemd: whatever happens to the daemon, they run on.",
          ),
          text(DAEMON_TEXTS.options),
        ],
      },
      {
        title: "OPTIONS",
        blocks: [
          term("--config PATH", DAEMON_TEXTS.config),
          ...withEffect(true).map(describeFlag),
          term("--check-config", DAEMON_TEXTS.checkConfig),
          term("--help, --version", "Print the help, or the version, and end."),
        ],
      },
      {
        title: "SIGNALS",
        blocks: [
          term(
            "SIGTERM",
            "When systemd stops flt.service, or the host shuts down: this machine's units are stopped here and given to other machines. When " +
              "it restarts flt.service, or sends the signal for no reason that it knows of: the units run on.",
          ),
          term("SIGINT", "Ends the daemon. The units run on."),
          term(
            "SIGHUP",
            "Reads the configuration file again. A file with a mistake, or an option that there is not, changes nothing.",
          ),
        ],
      },
      {
        title: "EXIT STATUS",
        blocks: [
          term("0", "Ended as asked."),
          term("1", "Could not start or go on; stderr says why. No unit was touched."),
        ],
      },
      {
        title: "FILES",
        blocks: [
          term(DEFAULT_CONFIG_PATH, "Configuration: flt.conf(5)."),
          term("/run/flt.sock", "The API, for root and the group flt. Whoever reaches it can run anything as root."),
          term("/run/flt/units", "Files of the units that this machine holds."),
          term("/var/lib/flt", "This machine's part of the store, and its identity."),
        ],
      },
      {
        title: "EXAMPLES",
        blocks: [verbatim(DAEMON_TEXTS.example, "systemctl enable --now flt", "journalctl -u flt")],
      },
    ],
    seeAlso: ["flt(1)", "flt.conf(5)", "flt.unit(5)", "systemctl(1)"],
  };
}

export function configPage(): Page {
  return {
    name: "flt.conf",
    section: 5,
    summary: "configuration of flt's daemon",
    synopsis: [DEFAULT_CONFIG_PATH, "$XDG_CONFIG_HOME/flt/flt.conf"],
    sections: [
      {
        title: "DESCRIPTION",
        blocks: [
          text(`${DAEMON_TEXTS.file} A line that begins with # is a comment.`),
          text(
            "Each option can also be a flag of flt-daemon(8) or a variable of its environment; a flag wins over the variable FLT_NAME, which wins " +
              "over FLEET_NAME, which wins over the file.",
          ),
          text(
            `Called as fleetd, the daemon reads ${FLEET_CONFIG_PATH} instead: fleet's options are known by their names.`,
          ),
        ],
      },
      { title: "OPTIONS", blocks: withEffect(true).map(describeKey) },
      {
        title: "OPTIONS OF FLEET",
        blocks: [
          text("These are known, so that a fleet.conf can be taken over, and do nothing."),
          ...withEffect(false).map(describeForeign),
        ],
      },
      {
        title: "EXAMPLES",
        blocks: [
          verbatim(
            "public_ip = 10.0.0.1",
            "initial_cluster = 10.0.0.1:2380,10.0.0.2:2380,10.0.0.3:2380",
            'metadata = "region=eu,disk=ssd"',
          ),
        ],
      },
    ],
    seeAlso: ["flt(1)", "flt-daemon(8)"],
  };
}

function describeFlag(option: ConfigOption<unknown>): Block {
  const { placeholder } = option.kind;
  return term(
    `${flagName(option.key)}${placeholder === "" ? "" : ` ${placeholder}`}`,
    `${option.help} Default: ${defaultText(option)}.${option.reloads === true ? " A reload changes it." : ""}`,
  );
}

function describeKey(option: ConfigOption<unknown>): Block {
  const placeholder = option.kind.placeholder || "true|false";
  return term(
    `${option.key}=${placeholder}`,
    `${option.help} Default: ${defaultText(option)}. Example: ${option.example}.${option.reloads === true ? " A reload changes it." : ""}`,
  );
}

function describeForeign(option: ConfigOption<unknown>): Block {
  const { effect } = option;
  if (effect.kind === "active") return term(option.key, option.help);
  return term(option.key, `${option.help} Ignored: ${effect.why}.`);
}
