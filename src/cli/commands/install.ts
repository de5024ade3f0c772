/**
 * flt install: everything that flt needs on a host, put in place or taken away.
 *
 * @module
 */
import { CliError, type Command, EXIT_OK, line } from "../command.ts";
import { Installer } from "../install/installer.ts";

export const install: Command = {
  name: "install",
  usage: "[--dry-run] [--now] [--prefix=FOLDER] [--uninstall]",
  summary: "Put flt in place on this host, or take it away",
  description:
    "Copies this program to /usr/local/bin, with its service, socket, man pages and completions, and a configuration in which nothing is " +
    "set; makes the group flt. Again, it brings all of that up to date: files of yours (configuration, service, socket) that you have " +
    "changed stay as they are. No unit is stopped, and the service is neither started nor enabled without --now. With --uninstall, " +
    "removes what it has put there and you have not changed; the daemon's data stays. A host that has the Debian package does not need it.",
  examples: ["install --dry-run", "install", "install --now", "install --uninstall --now"],
  flags: [
    { name: "dry-run", fallback: "false", help: "Say what would be done, and do nothing" },
    {
      name: "now",
      fallback: "false",
      help:
        "Also enable and start the service, or restart it, which touches no unit. With --uninstall: stop it first, which gives this " +
        "host's units to the other machines",
    },
    { name: "prefix", value: "FOLDER", fallback: "/usr/local", help: "Where program, man pages and completions go" },
    { name: "uninstall", fallback: "false", help: "Take flt off this host" },
  ],
  isLocal: true,
  async run(context) {
    const { flags, world } = context;
    if (context.args.length > 0)
      throw new CliError(`Cannot use argument "${context.args[0]}": install takes flags only`);
    const prefix = flags.text("prefix").replace(/\/+$/, "");
    if (!/^(\/[^/\s]+)+$/.test(prefix)) {
      throw new CliError(`Cannot use --prefix=${flags.text("prefix")}: it is no absolute path without blanks`);
    }
    const options = { prefix, isDryRun: flags.isOn("dry-run"), isNow: flags.isOn("now") };
    const installer = new Installer(await world.installHost(), options, (text) => line(context, text));
    await (flags.isOn("uninstall") ? installer.uninstall() : installer.install(context.commands));
    return EXIT_OK;
  },
};
