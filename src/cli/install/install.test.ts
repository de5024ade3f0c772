/**
 * flt install on a host in memory: what it puts where, what it leaves alone, and what it refuses.
 *
 * @module
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { gunzipSync } from "node:zlib";
import { CliWorld } from "../../../test/fakes/cli-world.ts";
import type { FakeInstallHost } from "../../../test/fakes/install-host.ts";
import { encodeText } from "../../lib/text.ts";
import { COMMANDS } from "../commands/index.ts";
import { PACKAGE_LAYOUT, textFiles } from "./files.ts";
import { RECORD_PATH } from "./record.ts";
import { SYSTEM_HOST } from "./system-host.ts";

const SERVICE = "/etc/systemd/system/flt.service";
const CONFIG = "/etc/flt/flt.conf";
const PROGRAM = "/usr/local/bin/flt";
const NEXT =
  "Next: say in /etc/flt/flt.conf which cluster this host is of, if of any, then: systemctl enable --now flt";

let world: CliWorld;
let host: FakeInstallHost;
beforeEach(() => {
  world = new CliWorld();
  host = world.installHost;
});

async function install(...words: string[]): Promise<string[]> {
  const { status, out, err } = await world.run("install", ...words);
  expect([status, err]).toEqual([0, ""]);
  return out.trimEnd().split("\n");
}

describe("install", () => {
  test("everything in its place, systemd told, nothing started, and what comes next", async () => {
    const said = await install();
    expect(said.at(-1)).toBe(NEXT);
    expect(host.text(PROGRAM)).toBe("program 1");
    expect(host.files.get(PROGRAM)?.mode).toBe(0o755);
    expect(host.text(SERVICE)).toBe(readFileSync("examples/flt.service", "utf8"));
    expect(host.text("/etc/systemd/system/flt.socket")).toBe(readFileSync("examples/flt.socket", "utf8"));
    expect(host.text("/etc/sysusers.d/flt.conf")).toBe(readFileSync("examples/flt.sysusers.conf", "utf8"));
    expect(host.text(CONFIG)).toBe(readFileSync("examples/flt.conf", "utf8"));
    expect(host.text("/usr/local/share/bash-completion/completions/flt")).toContain("complete -F _flt");
    for (const { name } of COMMANDS) {
      const page = host.files.get(`/usr/local/share/man/man1/flt-${name}.1.gz`);
      expect(gunzipSync(page?.content ?? new Uint8Array()).toString()).toContain('.SH "EXAMPLES"');
    }
    const created = said.filter((line) => line.startsWith("Created ")).map((line) => line.slice("Created ".length));
    expect([...created, RECORD_PATH].sort()).toEqual([...host.files.keys()].sort());
    expect(host.commands).toEqual(["systemd-sysusers", "systemctl daemon-reload"]);
  });

  test("again: nothing to do", async () => {
    await install();
    const before = new Map(host.files);
    host.commands.length = 0;
    expect(await install()).toEqual(["Nothing to do: flt is installed", NEXT]);
    expect([host.files, host.commands]).toEqual([before, []]);
    host.active.add("flt.service");
    expect(await install()).toEqual(["Nothing to do: flt is installed"]);
  });

  test("--dry-run changes nothing, and needs no root", async () => {
    host.root = false;
    const said = await install("--dry-run", "--now");
    expect(said[0]).toBe(`Would create ${PROGRAM}`);
    expect(said.at(-1)).toBe("Would enable and start flt.service");
    expect([host.files.size, host.commands]).toEqual([0, []]);
  });

  test("a new version: its own files change, what people have changed stays, what is gone goes", async () => {
    await install();
    host.program = encodeText("program 2");
    host.edit(CONFIG, "public_ip=10.0.0.1\n");
    const gone = "/usr/local/share/man/man1/flt-gone.1.gz";
    host.edit(gone, "x");
    host.edit(RECORD_PATH, `${host.text(RECORD_PATH)}${new Bun.SHA256().update("x").digest("hex")}  ${gone}\n`);
    host.active.add("flt.service");
    expect(await install()).toEqual([
      `Updated ${PROGRAM}`,
      `Kept ${CONFIG}: it was changed here. To have the new one, remove it first`,
      `Removed ${gone}`,
      "Next: systemctl restart flt (units run on)",
    ]);
    expect([host.text(PROGRAM), host.text(CONFIG), host.text(gone)]).toEqual([
      "program 2",
      "public_ip=10.0.0.1\n",
      null,
    ]);
  });

  test("files that were copied by hand before: the program is replaced, the settings are not", async () => {
    host.edit(PROGRAM, "program 0");
    host.edit(SERVICE, "[Service]\nExecStart=/mine\n");
    const said = await install();
    expect(said[0]).toBe(`Updated ${PROGRAM}`);
    expect(said[1]).toStartWith(`Kept ${SERVICE}: it was changed here`);
    expect(host.text(SERVICE)).toBe("[Service]\nExecStart=/mine\n");
  });

  test("an unchanged settings file of an earlier version is brought up to date, also after a run that was cut short", async () => {
    await install();
    const old = "# of an earlier version\n";
    host.edit(SERVICE, old);
    host.edit(RECORD_PATH, `${new Bun.SHA256().update(old).digest("hex")}  ${SERVICE}\n`);
    host.program = encodeText("program 2");
    // Cut short before the first record, the program, the service, the last record: nothing is taken for somebody's own afterwards.
    for (const writes of [0, 1, 2, 2]) {
      host.writesLeft = writes;
      expect((await world.run("install")).err).toContain("No space for");
    }
    host.writesLeft = Number.POSITIVE_INFINITY;
    for (const line of await install()) expect(line).not.toStartWith("Kept");
    expect(host.text(SERVICE)).toBe(readFileSync("examples/flt.service", "utf8"));
    await install("--uninstall");
    expect(host.files.size).toBe(0);
  });

  test("--now enables and starts; with a running daemon it restarts when something changed", async () => {
    expect((await install("--now")).at(-1)).toBe("Started flt.service");
    expect(host.commands.slice(2)).toEqual(["systemctl enable flt.service", "systemctl start flt.service"]);
    expect((await install("--now")).at(-1)).toBe("flt.service runs");
    expect(host.commands).not.toContain("systemctl restart flt.service");
    host.program = encodeText("program 2");
    expect((await install("--now")).at(-1)).toBe("Restarted flt.service; units run on");
    expect(host.commands.at(-1)).toBe("systemctl restart flt.service");
  });

  test("--prefix: the service follows the program, and files of the other prefix go", async () => {
    await install();
    await install("--prefix=/opt");
    expect(host.text("/opt/bin/flt")).toBe("program 1");
    expect(host.text(SERVICE)).toContain("ExecStart=/opt/bin/flt daemon");
    expect([...host.files.keys()].filter((path) => path.startsWith("/usr/"))).toEqual([]);
    expect([...host.folders].filter((path) => path.startsWith("/usr/local/share"))).toEqual([]);
    expect(await world.run("install", "--prefix=opt")).toMatchObject({ status: 1 });
  });

  test("refusals, before anything is touched", async () => {
    const refused = async (words: string): Promise<void> => {
      const { status, err } = await world.run("install");
      expect([status, err]).toEqual([1, expect.stringContaining(words)]);
      expect([host.files.size, host.commands]).toEqual([0, []]);
    };
    host.root = false;
    await refused("Cannot install flt: it needs root");
    host.root = true;
    host.systemd = false;
    await refused("systemd does not run this host");
    host.systemd = true;
    host.program = null;
    await refused("not the compiled program");
    host.edit("/usr/lib/systemd/system/flt.service", "x");
    expect((await world.run("install")).err).toContain("is on this host as a package");
    expect((await world.run("install", "flt")).err).toContain('Cannot use argument "flt"');
  });
});

describe("install --uninstall", () => {
  test("what was put there and not changed goes, folders too; what was changed stays", async () => {
    await install();
    host.edit(CONFIG, "public_ip=10.0.0.1\n");
    const said = await install("--uninstall");
    expect([...host.files.keys()]).toEqual([CONFIG]);
    expect(host.folders.has("/usr/local/share")).toBe(false);
    expect(host.folders.has("/usr/local/bin")).toBe(true);
    expect(said).toContain(`Kept ${CONFIG}: it was changed here`);
    expect(said.at(-1)).toStartWith("Left: /var/lib/flt");
    expect(host.commands.slice(2)).toEqual(["systemctl disable flt.service flt.socket", "systemctl daemon-reload"]);
    expect(await install("--uninstall")).toEqual(["Nothing to do: flt install has put nothing here"]);
  });

  test("the API's socket goes when nobody listens on it any more", async () => {
    await install();
    host.edit("/run/flt.sock", "somebody listens");
    await install("--uninstall");
    expect([...host.files.keys()]).toEqual(["/run/flt.sock"]);
    await install();
    host.edit("/run/flt.sock", "");
    expect(await install("--uninstall", "--dry-run")).toContain("Would remove /run/flt.sock");
    expect(host.files.has("/run/flt.sock")).toBe(true);
    expect(await install("--uninstall")).toContain("Removed /run/flt.sock");
    expect(host.files.size).toBe(0);
  });

  test("a daemon that runs is not stopped unless that is asked for", async () => {
    await install("--now");
    const before = new Map(host.files);
    const { status, err } = await world.run("install", "--uninstall");
    expect([status, err]).toEqual([1, expect.stringContaining("systemctl disable --now flt.service flt.socket")]);
    expect(host.files).toEqual(before);
    expect((await install("--uninstall", "--now", "--dry-run"))[0]).toStartWith("Would stop flt.service");
    expect(host.files).toEqual(before);
    await install("--uninstall", "--now");
    expect(host.commands).toContain("systemctl disable --now flt.service flt.socket");
    expect([host.files.size, host.active.size]).toEqual([0, 0]);
  });

  test("where the package has come since: it takes over, nothing is stopped, and the configuration is its own", async () => {
    await install("--now");
    host.edit("/usr/lib/systemd/system/flt.service", "of the package");
    host.commands.length = 0;
    expect((await install("--uninstall")).at(-1)).toContain("systemctl restart flt");
    expect([...host.files.keys()]).toEqual([CONFIG, "/usr/lib/systemd/system/flt.service"]);
    expect([host.commands, host.active.has("flt.service")]).toEqual([["systemctl daemon-reload"], true]);
  });

  test("what was kept from before the first installation stays, and is named", async () => {
    host.edit(SERVICE, "mine");
    await install();
    expect(await install("--uninstall")).toContain(`Kept ${SERVICE}: it was changed here`);
    expect(host.text(SERVICE)).toBe("mine");
  });
});

test("the package's files: the program is where its service looks for it", () => {
  const files = new Map(textFiles(PACKAGE_LAYOUT, COMMANDS).map(({ path, content }) => [path, content]));
  expect(Buffer.from(files.get("/usr/lib/systemd/system/flt.service") ?? []).toString()).toContain(
    "ExecStart=/usr/bin/flt daemon",
  );
  expect([...files.keys()].filter((path) => path.includes("/local/"))).toEqual([]);
});

describe("the real host", () => {
  test("writes whole files with their mode, through no link, and tells which folder it made", () => {
    const folder = mkdtempSync(`${tmpdir()}/flt-install-`);
    try {
      const path = `${folder}/a/b/file`;
      expect(SYSTEM_HOST.write(path, encodeText("one"), 0o755)).toBe(`${folder}/a`);
      expect(SYSTEM_HOST.write(path, encodeText("two"), 0o755)).toBeNull();
      expect([statSync(path).mode & 0o777, readFileSync(path, "utf8")]).toEqual([0o755, "two"]);
      writeFileSync(`${folder}/victim`, "victim");
      symlinkSync(`${folder}/victim`, `${folder}/link`);
      symlinkSync(`${folder}/victim`, `${folder}/link.flt-new`);
      SYSTEM_HOST.write(`${folder}/link`, encodeText("new"), 0o644);
      expect([readFileSync(`${folder}/victim`, "utf8"), readFileSync(`${folder}/link`, "utf8")]).toEqual([
        "victim",
        "new",
      ]);
      expect(SYSTEM_HOST.removeEmptyFolder(`${folder}/a`)).toBe(false);
      SYSTEM_HOST.remove(path);
      expect([SYSTEM_HOST.removeEmptyFolder(`${folder}/a/b`), existsSync(`${folder}/a/b`)]).toEqual([true, false]);
      expect(SYSTEM_HOST.read(path)).toBeNull();
      expect(() => SYSTEM_HOST.remove(folder)).toThrow(`Cannot remove ${folder}: `);
      expect(() => SYSTEM_HOST.read(folder)).toThrow(`Cannot read ${folder}: `);
      expect(() => SYSTEM_HOST.write(`${folder}/victim/x`, encodeText(""), 0o644)).toThrow("Cannot write ");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("a socket is dead when nobody listens on it", async () => {
    const folder = mkdtempSync(`${tmpdir()}/flt-install-`);
    try {
      const path = `${folder}/flt.sock`;
      const isDead = (): Promise<boolean> => SYSTEM_HOST.isDeadSocket(path);
      expect(await isDead()).toBe(false);
      const listen = `require("node:net").createServer().listen("${path}", () => process.kill(process.pid, "SIGKILL"))`;
      await Bun.spawn([process.execPath, "-e", listen]).exited;
      expect(await isDead()).toBe(true);
      rmSync(path);
      const server = createServer().listen(path);
      await new Promise((resolve) => server.once("listening", resolve));
      expect(await isDead()).toBe(false);
      server.close();
      writeFileSync(path, "");
      expect(await isDead()).toBe(false);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("runs commands; run from source it is no program that could be copied", async () => {
    expect(await SYSTEM_HOST.run(["sh", "-c", "echo out; echo err >&2; exit 3"])).toEqual({
      status: 3,
      stdout: "out\n",
      stderr: "err\n",
    });
    expect(SYSTEM_HOST.run(["/no/such"])).rejects.toThrow("Cannot run /no/such: ");
    expect(SYSTEM_HOST.executable()).toBeNull();
  });
});
