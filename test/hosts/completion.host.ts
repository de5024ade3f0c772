/**
 * Completion as a user has it: keys typed into a shell on a terminal, names from a daemon that runs.
 *
 * Idea. The shell's `flt` is a script that lets the real one complete and writes down every other command: what was typed and
 * completed is what the program would have been given.
 *
 * @module
 */
import { expect } from "bun:test";
import { sleeper, writeUnits } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { hostSuite } from "./lib/suite.ts";

const WRAPPER = `#!/bin/bash
[ "$1" = completion ] && exec /usr/local/bin/flt "$@"
printf '<%s>' "$@" >>/tmp/typed
echo >>/tmp/typed
`;

/** How each shell is started without the settings of a user, and told of flt; zsh as it is where flt is installed, by a folder. */
const SHELLS = {
  bash: { command: "bash --norc --noprofile -i", setUp: "source /tmp/flt.bash" },
  zsh: {
    command: "zsh -f -i",
    setUp: "fpath=(/tmp/functions $fpath); autoload -Uz compinit; compinit -u -d /tmp/zcompdump",
  },
} as const;

const ESCAPED = "a-\\x2d.service";

/** Lines with tabs in them, typed one after the other; the words that flt was given for each. */
async function typed(host: Host, shell: keyof typeof SHELLS, lines: readonly string[]): Promise<string[]> {
  const { command, setUp } = SHELLS[shell];
  await host.mustRun(["rm", "-f", "/tmp/typed"]);
  await host.run(["script", "-qec", command, "/dev/null"], {
    stdin: `${[`PATH=/tmp/bin:$PATH; ${setUp}`, ...lines, "exit"].join("\n")}\n`,
    timeoutMs: 30_000,
  });
  return (await host.mustRun(["cat", "/tmp/typed"])).trimEnd().split("\n");
}

hostSuite("completion", { hosts: 1 }, (suite) => {
  suite.case("the scripts, and units to complete", async (cluster) => {
    const host = cluster.host("h1");
    for (const shell of ["bash", "zsh", "fish"]) {
      await host.write(`/tmp/flt.${shell}`, await host.mustFlt("completion", shell));
    }
    await host.mustRun(["mkdir", "/tmp/bin", "/tmp/functions"]);
    await host.mustRun(["cp", "/tmp/flt.zsh", "/tmp/functions/_flt"]);
    await host.write("/tmp/bin/flt", WRAPPER);
    await host.mustRun(["chmod", "755", "/tmp/bin/flt"]);
    const files = { "hello.service": sleeper("hello"), "web@1.service": sleeper("web"), [ESCAPED]: sleeper("escaped") };
    await host.mustFlt("submit", ...(await writeUnits(host, files)));
  });

  for (const shell of ["bash", "zsh"] as const) {
    suite.case(`${shell}: commands, flags, values, units, machines and files, on the Tab key`, async (cluster) => {
      const host = cluster.host("h1");
      const id = host.machineId;
      const lines = [
        ["flt unl\thel\t", "<unload><hello.service>"],
        ["flt stop h\tw\t", "<stop><hello.service><web@1.service>"],
        ["flt journal --output=json-p\thel\t", "<journal><--output=json-pretty><hello.service>"],
        ["flt journal --fol\t--lin\t5 web\t", "<journal><--follow><--lines=5><web@1.service>"],
        [`flt ssh --machine ${id.slice(0, 6)}\t ls`, `<ssh><--machine><${id}><ls>`],
        [`flt ssh --machine=${id.slice(0, 6)}\t ls`, `<ssh><--machine=${id}><ls>`],
        ["flt start /tmp/hello.s\t", "<start></tmp/hello.service>"],
        ["flt cat a-\t", `<cat><${ESCAPED}>`],
        ["flt --endpoint=unix:///run/flt.sock unl\the\t", "<--endpoint=unix:///run/flt.sock><unload><hello.service>"],
        ["flt --endpoint=unix:///run/none.sock stop he\t", "<--endpoint=unix:///run/none.sock><stop><he>"],
        ["flt daemon --data-d\t /x", "<daemon><--data-dir></x>"],
      ];
      const got = await typed(
        host,
        shell,
        lines.map(([keys]) => keys ?? ""),
      );
      expect(got).toEqual(lines.map(([, words]) => words ?? ""));
    });
  }

  suite.case("zsh, by source, as a user without an installation has it", async (cluster) => {
    const host = cluster.host("h1");
    await host.mustRun(["rm", "/tmp/functions/_flt", "/tmp/zcompdump"]);
    expect(await typed(host, "zsh", ["source /tmp/flt.zsh", "flt unl\thel\t"])).toEqual(["<unload><hello.service>"]);
  });

  suite.case("fish: the same candidates, with what they are", async (cluster) => {
    const host = cluster.host("h1");
    const complete = async (line: string): Promise<string> =>
      await host.mustRun(["fish", "--no-config", "-c", `source /tmp/flt.fish; complete -C '${line}'`]);
    expect(await complete("flt unl")).toStartWith("unload\t");
    expect(await complete("flt stop he")).toBe("hello.service\tinactive\n");
    expect(await complete(`flt ssh --machine=${host.machineId.slice(0, 6)}`)).toStartWith(
      `--machine=${host.machineId}\t${host.address}`,
    );
    expect(await complete("flt start /tmp/hello.s")).toContain("/tmp/hello.service");
  });

  suite.case("a Tab costs little, and a dead daemon no more than a second", async (cluster) => {
    const host = cluster.host("h1");
    const words = ["completion", "words", "--", "stop", ""];
    const timed = async (): Promise<number> => {
      const begin = performance.now();
      expect((await host.flt(...words)).stderr).toBe("");
      return performance.now() - begin;
    };
    await timed();
    const alive = await timed();
    await host.pauseDaemon();
    const paused = await timed();
    await host.resumeDaemon();
    console.error(`completion of a unit: ${alive.toFixed(0)} ms; with a daemon that hangs: ${paused.toFixed(0)} ms`);
    expect(paused).toBeGreaterThan(1_000);
    expect(paused).toBeLessThan(3_000);
  });
});
