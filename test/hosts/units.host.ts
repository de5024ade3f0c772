/**
 * spec/fleet.md sections 2 and 3 on a real systemd: names and their refusals over API and command line, unit files from the
 * disk of the user to what systemd makes of them, templates and instances.
 *
 * @module
 */
import { expect } from "bun:test";
import { parseUnitFile, serializeUnitFile, unitHash } from "../../src/model/unit-file.ts";
import { runningOn, sleeper, statesOf, type UnitEntity, unitsOf, waitActive, writeUnits } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { nothingLeft } from "./lib/leftovers.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually } from "./lib/wait.ts";

const OPTIONS = [{ section: "Service", name: "ExecStart", value: "/bin/sleep infinity" }];
const NAME_OF_255 = `${"n".repeat(247)}.service`;
const NAME_OF_256 = `${"m".repeat(248)}.service`;

const GOOD_NAMES = [
  "plain.service",
  "dots.and.more.service",
  "colon:dash-under_score.service",
  "back\\x2dslash.service",
  "0.service",
  "UPPER.service",
  "two@at@signs.service",
  "in@st:an_ce\\x2f1.service",
  NAME_OF_255,
];
/** Name to the words that the refusal must have. */
const BAD_NAMES: Readonly<Record<string, string>> = {
  nosuffix: 'no "."',
  "ends.": 'it ends in "."',
  "what.conf": '"conf" is no unit type',
  ".service": "nothing stands before",
  "@x.service": 'begins with "@"',
  "x@y.mount": "a mount unit cannot be a template",
  "blank in.service": '" " is not allowed',
  "slash/in.service": '"/" is not allowed',
  "höher.service": '"ö" is not allowed',
  "line\nbreak.service": "is not allowed",
  [`${"x".repeat(249)}.service`]: "257 characters",
};

interface Answer {
  readonly status: number;
  readonly message: string;
}

async function put(host: Host, name: string, body: object): Promise<Answer> {
  const response = await host.api(`/fleet/v1/units/${encodeURIComponent(name)}`, { method: "PUT", body });
  const text = await response.text();
  const error = text === "" ? undefined : (JSON.parse(text) as { error?: { code: number; message: string } }).error;
  if (error !== undefined) expect(error.code).toBe(response.status);
  return { status: response.status, message: error?.message ?? "" };
}

async function unit(host: Host, name: string): Promise<UnitEntity> {
  return (await (await host.api(`/fleet/v1/units/${encodeURIComponent(name)}`)).json()) as UnitEntity;
}

/** Ends a case: destroys every unit, and waits until nothing shows that they were there. */
async function destroyAll(host: Host): Promise<void> {
  const names = (await unitsOf(host)).map(({ name }) => name);
  await host.mustFlt("destroy", ...names);
  await nothingLeft([host], names);
}

/** A file with everything that the syntax has. */
const TRICKY = [
  "ignored = before the first section\r",
  "# a comment that goes on \\",
  "[Unit]\r",
  "[Unit]",
  "; another one",
  "Description=Größe ✓ 🙂 %n|%p|%i",
  "  After = \t network.target  ",
  "Documentation=man:sleep(1)",
  "Documentation=",
  "Documentation=https://example.org/?a=b&c=d#e",
  "[Service]",
  "Environment=ONE=1 \\",
  "  TWO=2 \\",
  "# no comment to flt, one to systemd \\",
  "  THREE=3",
  'Environment="FOUR=with blank" FIVE=a=b',
  `Environment=LONG=${"x".repeat(2000)}`,
  "ExecStartPre=",
  "ExecStartPre=/bin/true",
  "ExecStartPre=-/bin/false ; /bin/true",
  'ExecStart=/bin/sh -c "echo \\"one\\" two; exec sleep infinity"',
  "[X-Fleet]",
  'MachineMetadata="disk=ssd" \\',
  '  "disk=hdd"',
  "[Unit]",
  "Before=shutdown.target",
  "[X-Custom]",
  "Anything=goes = here",
].join("\n");

hostSuite("names and files on one host", { hosts: 1, config: { metadata: "disk=ssd" } }, (suite) => {
  suite.case("valid names go all the way to systemd", async ({ hosts: [host] }) => {
    if (host === undefined) return;
    for (const name of GOOD_NAMES) {
      expect([name, await put(host, name, { desiredState: "launched", options: OPTIONS })]).toEqual([
        name,
        { status: 201, message: "" },
      ]);
      expect((await unit(host, name)).name).toBe(name);
    }
    await waitActive(host, GOOD_NAMES);
    const table = await host.mustFlt("list-units", "--no-legend", "--fields=unit,sub");
    for (const name of GOOD_NAMES) expect(table).toContain(`${name}\t`);
    expect(await host.mustFlt("cat", "back\\x2dslash")).toBe("[Service]\nExecStart=/bin/sleep infinity\n");
    await destroyAll(host);
  });

  suite.case(
    "fleet takes a name of 256 characters, systemd none above 255: that is told",
    async ({ hosts: [host] }) => {
      if (host === undefined) return;
      expect((await put(host, NAME_OF_256, { desiredState: "inactive", options: OPTIONS })).status).toBe(201);
      const { code, stderr } = await host.flt("start", NAME_OF_256);
      expect([code, stderr]).toEqual([1, expect.stringContaining("systemd takes no such unit name")]);
      await destroyAll(host);
    },
  );

  suite.case(
    "invalid names are refused over the API and by the command line, and change nothing",
    async ({ hosts: [host] }) => {
      if (host === undefined) return;
      for (const [name, words] of Object.entries(BAD_NAMES)) {
        const answer = await put(host, name, { desiredState: "inactive", options: OPTIONS });
        expect([name, answer.status, answer.message]).toEqual([name, 400, expect.stringContaining(words)]);
      }
      // These the command line would complete, or take for paths.
      for (const name of Object.keys(BAD_NAMES).filter((bad) => !/^(nosuffix|ends\.|what\.conf|slash.*)$/.test(bad))) {
        for (const verb of ["submit", "start", "cat", "status"]) {
          const { code, stderr } = await host.flt(verb, `/tmp/${name}`);
          expect([name, code, stderr]).toEqual([name, 1, expect.stringContaining("Cannot use unit name")]);
        }
      }
      expect(await unitsOf(host)).toEqual([]);
    },
  );

  suite.case("a unit file: submit, cat, hash, the file on the host, and systemd's view", async ({ hosts: [host] }) => {
    if (host === undefined) return;
    const [path = ""] = await writeUnits(host, { "tricky.service": TRICKY });
    const options = parseUnitFile(TRICKY);
    const canonical = serializeUnitFile(options);
    const hash = unitHash(options);
    await host.mustFlt("start", path);
    await waitActive(host, ["tricky.service"]);
    // Sections merged, order kept, nothing lost.
    const entity = await unit(host, "tricky.service");
    const merged = parseUnitFile(canonical).map(({ section, name, value }) => ({
      section,
      name,
      ...(value === "" ? {} : { value }),
    }));
    const inSections = Map.groupBy(entity.options, ({ section }) => section);
    expect([...inSections.values()].flat() as unknown[]).toEqual(merged);
    expect(await host.mustFlt("cat", "tricky")).toBe(canonical);
    expect(await host.mustFlt("list-unit-files", "--no-legend", "--fields=hash")).toBe(`${hash.slice(0, 7)}\n`);
    expect((await statesOf(host))[0]?.hash).toBe(hash);
    // What cat prints can be submitted again: it is the same unit.
    await host.write("/tmp/again/tricky.service", canonical);
    expect((await host.flt("submit", "/tmp/again/tricky.service")).stderr).toBe("");
    expect(await Bun.file(host.path("/run/flt/units/tricky.service")).text()).toBe(canonical);
    expect(await host.mustRun(["sha1sum", "/run/flt/units/tricky.service"])).toStartWith(hash);
    const link = await host.mustRun(["readlink", "/run/systemd/system/tricky.service"]);
    expect(link).toBe("/run/flt/units/tricky.service\n");
    const shown = (property: string) => host.property("tricky.service", property);
    expect(await shown("UnitFileState")).toBe("linked-runtime");
    expect(await shown("Description")).toBe("Größe ✓ 🙂 tricky.service|tricky|");
    expect(await shown("Environment")).toBe(`ONE=1 TWO=2 THREE=3 "FOUR=with blank" FIVE=a=b LONG=${"x".repeat(2000)}`);
    expect(await shown("Documentation")).toBe('"https://example.org/?a=b&c=d#e"');
    expect((await shown("ExecStartPre")).match(/path=\/bin\/\w+/g)).toEqual([
      "path=/bin/true",
      "path=/bin/false",
      "path=/bin/true",
    ]);
    expect(await shown("Before")).toContain("shutdown.target");
    expect(await shown("After")).toContain("network.target");
    expect(await shown("NeedDaemonReload")).toBe("no");
    expect(await host.mustFlt("journal", "--output=cat", "tricky")).toContain("one two");
    await destroyAll(host);
  });

  suite.case("files that cannot be read name their line; the command changes nothing", async ({ hosts: [host] }) => {
    if (host === undefined) return;
    const bad: Readonly<Record<string, readonly [string | Uint8Array, string]>> = {
      "long.service": [
        `[Service]\nExecStart=/bin/true\nEnvironment=A=${"x".repeat(2040)}\n`,
        "line 3: it has 2054 bytes",
      ],
      "option.service": ["[Service]\nExecStart\n", 'line 2: "ExecStart" is no option'],
      "section.service": ["[Service\n", "line 1"],
      "latin.service": [new Uint8Array([0x5b, 0x41, 0x5d, 0x0a, 0x78, 0x3d, 0xe4, 0x0a]), "line 2: it is not UTF-8"],
      "empty.service": ["", "its file is empty"],
      "both.service": [
        "[Service]\nExecStart=/bin/true\n[X-Fleet]\nGlobal=true\n[X-Flt]\nGlobal=true\n",
        "[X-Fleet] and [X-Flt]",
      ],
    };
    for (const [name, [content, words]] of Object.entries(bad)) {
      await Bun.write(host.path(`/tmp/${name}`), content);
      const { code, stderr } = await host.flt("start", `/tmp/${name}`);
      expect([name, code, stderr]).toEqual([name, 1, expect.stringContaining(words)]);
      expect(stderr).not.toMatch(/^\s+at /m);
    }
    expect(await unitsOf(host)).toEqual([]);
  });

  suite.case("placement options that contradict each other: 400, with both names", async ({ hosts: [host] }) => {
    if (host === undefined) return;
    const values: Readonly<Record<string, string>> = {
      MachineID: "11111111",
      MachineOf: "peer.service",
      Conflicts: "foe.service",
      Replaces: "old.service",
      Global: "true",
      "X-ConditionMachineBootID": "11111111",
      "X-ConditionMachineOf": "peer.service",
      "X-Conflicts": "foe.service",
    };
    const pairs: readonly (readonly [string, string, string])[] = [
      ["MachineID", "MachineOf", "MachineID with MachineOf"],
      ["MachineID", "Conflicts", "MachineID with Conflicts"],
      ["MachineID", "Global", "MachineID with Global"],
      ["MachineID", "Replaces", "MachineID with Replaces"],
      ["Global", "MachineOf", "Global with MachineOf"],
      ["Global", "Replaces", "Global with Replaces"],
      ["Conflicts", "Replaces", "Conflicts with Replaces"],
      ["X-ConditionMachineBootID", "X-ConditionMachineOf", "MachineID with MachineOf"],
      ["X-ConditionMachineBootID", "X-Conflicts", "MachineID with Conflicts"],
    ];
    const placement = (...lines: readonly (readonly [string, string])[]) => ({
      desiredState: "inactive",
      options: [...OPTIONS, ...lines.map(([name, value]) => ({ section: "X-Fleet", name, value }))],
    });
    const refused = async (words: string, ...lines: readonly (readonly [string, string])[]) => {
      const answer = await put(host, "self@i.service", placement(...lines));
      expect([words, answer.status, answer.message]).toEqual([words, 400, expect.stringContaining(words)]);
    };
    for (const [one, other, words] of pairs) {
      await refused(words, [one, values[one] ?? ""], [other, values[other] ?? ""]);
      await refused(words, [other, values[other] ?? ""], [one, values[one] ?? ""]);
    }
    await refused("MachineOf=peer.service with Conflicts=p*", ["MachineOf", "peer.service"], ["Conflicts", "a b p*"]);
    await refused("MachineOf=peer.service with Replaces=p*", ["MachineOf", "peer.service"], ["Replaces", "p*"]);
    await refused("MachineOf=self@i.service with Conflicts=self*", ["MachineOf", "%n"], ["Conflicts", "self*"]);
    await refused('"a=b c=d" looks like several pairs', ["MachineMetadata", "a=b c=d"]);
    await refused("MachineMetadata", ["MachineMetadata", "novalue"]);
    await refused("Conflicts", ["Conflicts", "[a"]);
    expect(await unitsOf(host)).toEqual([]);
  });

  suite.case("an unknown option in the section is a warning, and the unit runs", async ({ hosts: [host] }) => {
    if (host === undefined) return;
    const [path = ""] = await writeUnits(host, {
      "typo.service": sleeper("typo", "\n[X-Fleet]\nConflict=a.service\n"),
    });
    const { code, stderr } = await host.flt("start", path);
    expect([code, stderr]).toEqual([
      0,
      expect.stringMatching(/WARNING: Unit typo\.service: Unknown option "Conflict".*Conflicts/),
    ]);
    await destroyAll(host);
  });

  suite.case(
    "templates: submitted only; instances run with their names, are restarted, and keep their file",
    async ({ hosts: [host] }) => {
      if (host === undefined) return;
      const text =
        "[Unit]\nDescription=%n %N %p %i\n[Service]\nExecStart=/bin/sleep infinity\nEnvironment=I=%i\n[X-Fleet]\nConflicts=none-%i.service %p-x.service\n";
      const [path = ""] = await writeUnits(host, { "tpl@.service": text });
      for (const verb of ["start", "load"]) {
        const { code, stderr } = await host.flt(verb, path);
        expect([code, stderr]).toEqual([1, expect.stringContaining('cannot activate template "tpl@.service"')]);
      }
      await host.mustFlt("submit", path);
      for (const desiredState of ["launched", "loaded"]) {
        expect(await put(host, "tpl@.service", { desiredState })).toEqual({
          status: 400,
          message: 'cannot activate template "tpl@.service"',
        });
      }
      const instances = ["tpl@a.service", "tpl@b-c.service"];
      await host.mustFlt("start", ...instances);
      await waitActive(host, instances);
      expect(await host.property("tpl@b-c.service", "Description")).toBe("tpl@b-c.service tpl@b-c tpl b-c");
      expect(await host.property("tpl@b-c.service", "Environment")).toBe("I=b-c");
      const before = await Promise.all(instances.map((name) => host.mainPid(name)));
      expect(await host.mustFlt("restart", ...instances)).toMatch(/Unit tpl@a\.service launched on 1{8}\.\.\.\//);
      await waitActive(host, instances);
      const after = await Promise.all(instances.map((name) => host.mainPid(name)));
      expect(after.every((pid, index) => pid > 0 && pid !== before[index])).toBe(true);
      // A new template is for new instances: those that exist go on as they are, and say so when asked to start.
      await host.write("/tmp/tpl@.service", `${text}MachineMetadata=disk=ssd\n`);
      await host.mustFlt("submit", "--replace", path);
      await host.mustFlt("start", "/tmp/tpl@d.service");
      expect(await host.mustFlt("cat", "tpl@a.service")).not.toContain("MachineMetadata");
      expect(await host.mustFlt("cat", "tpl@d.service")).toContain("MachineMetadata");
      expect(await host.mainPid("tpl@a.service")).toBe(after[0] ?? 0);
      await host.mustFlt("restart", "tpl@a.service");
      expect(await host.property("tpl@a.service", "ActiveState")).toBe("active");
      await destroyAll(host);
    },
  );

  suite.case(
    "a name that the host has itself is refused with a reason, and the host's unit left alone",
    async ({ hosts: [host] }) => {
      if (host === undefined) return;
      const [path = ""] = await writeUnits(host, { "dbus.service": sleeper("not the bus") });
      const pid = await host.mainPid("dbus.service");
      const { code, stderr } = await host.flt("start", path);
      expect([code, stderr]).toEqual([
        1,
        expect.stringContaining("this machine's own systemd has a unit of this name"),
      ]);
      await host.mustFlt("destroy", "dbus.service");
      await eventually("no files", 5_000, async () => (await unitsOf(host)).length === 0);
      expect(await host.mainPid("dbus.service")).toBe(pid);
      expect(await runningOn(host, "dbus.service")).toEqual(["dbus.service"]);
    },
  );
});
