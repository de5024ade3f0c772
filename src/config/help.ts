/**
 * Texts made from the table of options: the daemon's help and a commented configuration file.
 *
 * @module
 */
import { wrap } from "../lib/wrap.ts";
import { DEFAULT_CONFIG_PATH } from "./load.ts";
import { CONFIG_FIELDS, CONFIG_OPTIONS, type ConfigOption, flagName } from "./table.ts";

const LINE_WIDTH = 88;

/** The daemon's help and its man page say the same. */
export const DAEMON_TEXTS = {
  usage: "flt daemon [FLAG…]",
  summary: "Runs flt on this machine: joins the cluster, holds its part of the store, starts and stops units.",
  options:
    `Each option can be a flag, a variable of the environment (FLT_DATA_DIR=…), or a line of ${DEFAULT_CONFIG_PATH} ` +
    "(data_dir=…); the first of these that is set wins. Options of fleet are known by their names there, FLEET_ " +
    "variables, too. SIGHUP reads the file again; options with a * change at once, the others at the next start. A " +
    "file with a mistake, or an option that there is not, changes nothing; systemctl reload flt, which looks first, " +
    "fails then.",
  config:
    `Reads this configuration file. Default: ${DEFAULT_CONFIG_PATH}, if there is one. An ordinary user's own ` +
    "$XDG_CONFIG_HOME/flt/flt.conf comes before it; with --systemd-user it is the only one.",
  checkConfig: "Says whether the configuration can be used, as a reload would have it, and ends: 0 when it can.",
  file: 'One option a line, no sections. Lists: a,b or ["a","b"]. Durations: 4s, 1m30s, 500ms.',
  example: "flt daemon --public-ip 10.0.0.1 --metadata region=us-west",
} as const;

/** What `flt daemon --help` prints. */
export function daemonHelp(): string {
  return [
    `Usage: ${DAEMON_TEXTS.usage}`,
    "",
    DAEMON_TEXTS.summary,
    "",
    ...paragraph(DAEMON_TEXTS.options, ""),
    "",
    "Flags:",
    `  --config PATH`,
    ...paragraph(DAEMON_TEXTS.config, "      "),
    ...withEffect(true).flatMap(describeFlag),
    "  --check-config",
    ...paragraph(DAEMON_TEXTS.checkConfig, "      "),
    "  --help, --version",
    "",
    "Accepted for fleet's sake, without effect:",
    ...paragraph(
      withEffect(false)
        .map(({ key }) => flagName(key))
        .join(", "),
      "  ",
    ),
    "",
    `Example: ${DAEMON_TEXTS.example}`,
    "",
  ].join("\n");
}

/** A configuration file in which every active option stands as a comment, with its default. */
export function sampleConfigFile(): string {
  const blocks = withEffect(true).map((option) => {
    const note = option.default === "" ? `Not set: ${option.unset ?? "empty"}.` : `Default: ${defaultText(option)}`;
    return [
      ...paragraph(`${option.help}${option.reloads ? " A reload changes it." : ""}`, "# "),
      ...paragraph(note, "# "),
      `# ${option.key}=${quoteIfNeeded(option.example)}`,
      "",
    ].join("\n");
  });
  const head = [
    ...paragraph(
      `Configuration of flt daemon, to be put at ${DEFAULT_CONFIG_PATH}. ${DAEMON_TEXTS.file} "flt daemon --help" says more.`,
      "# ",
    ),
    "",
  ].join("\n");
  return [head, ...blocks].join("\n");
}

/** The options that do something, or those that are only known. */
export function withEffect(active: boolean): ConfigOption<unknown>[] {
  const options: ConfigOption<unknown>[] = CONFIG_FIELDS.map((field) => CONFIG_OPTIONS[field]);
  return options.filter((option) => (option.effect.kind === "active") === active);
}

function describeFlag(option: ConfigOption<unknown>): string[] {
  const { placeholder } = option.kind;
  return [
    `  ${flagName(option.key)}${placeholder === "" ? "" : ` ${placeholder}`}${option.reloads ? " *" : ""}`,
    ...paragraph(`${option.help} Default: ${defaultText(option)}.`, "      "),
    ...(placeholder === "" || option.example === option.default
      ? []
      : [`      Example: ${flagName(option.key)} ${option.example}`]),
  ];
}

/** What holds when nothing is set, in words. */
export function defaultText(option: ConfigOption<unknown>): string {
  if (option.default === "") return option.unset ?? "empty";
  return option.userDefault === undefined
    ? option.default
    : `${option.default}; with systemd_user ${option.userDefault}`;
}

function quoteIfNeeded(example: string): string {
  return /[\s#;"]/.test(example) && !example.startsWith("[") ? JSON.stringify(example) : example;
}

function paragraph(text: string, indent: string): string[] {
  return wrap(text, LINE_WIDTH, indent);
}
