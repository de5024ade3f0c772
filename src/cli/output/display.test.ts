/**
 * Colours, pager and progress: on a terminal as with systemctl, and never anywhere else.
 *
 * @module
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { CliWorld, M1 } from "../../../test/fakes/cli-world.ts";
import { settle } from "../../../test/fakes/manual-clock.ts";
import { paintFor } from "./colour.ts";
import { paintStatus } from "./status-text.ts";

const FILE = "[Service]\nExecStart=/bin/true\n";
const ESCAPE = "\x1b";

let world: CliWorld;
beforeEach(async () => {
  world = new CliWorld();
  world.environment.TERM = "xterm";
  for (const name of ["a.service", "b.service", "c.service", "d.service"]) world.files.set(name, FILE);
  world.fleet.autoplace(M1);
  await world.run("start", "a", "b");
  world.fleet.setReport({ name: "b.service", machineId: M1, active: "failed", sub: "failed" });
});

describe("colours", () => {
  test("none where stdout is no terminal, whatever the environment says", async () => {
    world.environment.SYSTEMD_COLORS = "1";
    world.terminal.stderr = true;
    for (const words of [["list-units"], ["status", "a"], ["list-machines"]]) {
      const { out, err } = await world.run(...words);
      expect(out + err).not.toContain(ESCAPE);
    }
  });

  test("on a terminal failed units stand out, and the columns stay where they are", async () => {
    const plain = (await world.run("list-units")).out;
    world.terminal.stdout = true;
    const { out } = await world.run("--no-pager", "list-units");
    expect(out).toContain("b.service\t113f16a7.../172.17.8.103\t\x1b[1;31mfailed\x1b[0m\t\x1b[1;31mfailed\x1b[0m\n");
    expect(out).toStartWith("\x1b[1mUNIT\x1b[0m\t");
    expect(Bun.stripANSI(out)).toBe(plain);
  });

  test("on a terminal what changes is yellow, what runs is as it was", async () => {
    world.terminal.stdout = true;
    world.fleet.setReport({ name: "b.service", machineId: M1, active: "activating", sub: "start" });
    const { out } = await world.run("--no-pager", "list-units", "--no-legend", "--fields=unit,active,sub");
    expect(out).toBe("a.service\tactive\t\trunning\nb.service\t\x1b[33mactivating\x1b[0m\tstart\n");
  });

  test.each([
    [{}, true],
    [{ NO_COLOR: "1" }, false],
    [{ NO_COLOR: "" }, true],
    [{ TERM: "dumb" }, false],
    [{ SYSTEMD_COLORS: "false" }, false],
    [{ SYSTEMD_COLORS: "256", NO_COLOR: "1" }, true],
    [{ SYSTEMD_COLORS: "nonsense" }, true],
  ])("with %p: %p", (environment, isOn) => {
    expect(paintFor(true, environment)("bad", "x") !== "x").toBe(isOn);
    expect(paintFor(false, environment)("bad", "x")).toBe("x");
  });

  test("status looks as systemctl's own", () => {
    const paint = paintFor(true, {});
    const text = (dot: string, active: string): string =>
      `${dot} a.service - x\n     Active: ${active} since Sat\n   × no dot\n`;
    expect(paintStatus(text("●", "active (running)"), paint)).toBe(
      text("\x1b[32m●\x1b[0m", "\x1b[32mactive (running)\x1b[0m"),
    );
    expect(paintStatus(text("×", "failed (Result: exit-code)"), paint)).toBe(
      text("\x1b[1;31m×\x1b[0m", "\x1b[1;31mfailed (Result: exit-code)\x1b[0m"),
    );
    expect(paintStatus(text("○", "inactive (dead)"), paint)).toBe(text("○", "inactive (dead)"));
  });
});

describe("pager", () => {
  beforeEach(() => {
    world.terminal.stdout = true;
    world.environment.NO_COLOR = "1";
  });
  const pagers = (): string[] => world.terminal.shown.map(({ command }) => command.join(" "));

  test("what may be long is shown by less, with systemctl's settings; exit statuses stay", async () => {
    const { status, out } = await world.run("status", "b");
    expect([status, out]).toEqual([3, ""]);
    expect(world.terminal.shown).toEqual([
      {
        command: ["less"],
        environment: { LESS: "FRSXMK", LESSCHARSET: "utf-8" },
        text: "status of b.service on 113f\n",
      },
    ]);
  });

  test("help, however it is asked for", async () => {
    for (const words of [[], ["help"], ["--help"], ["help", "start"], ["start", "--help"]]) {
      expect((await world.run(...words)).out).toBe("");
      expect(world.terminal.shown.pop()?.text).toContain("\nUsage:\n");
    }
    expect((await world.run("--no-pager", "--help")).out).toContain("\nUsage:\n");
  });

  test("not for short answers, not when followed, not when unwanted, not off a terminal", async () => {
    for (const words of [
      ["is-active", "a"],
      ["journal", "-f", "a"],
      ["cat", "--no-pager", "a"],
    ])
      await world.run(...words);
    world.environment.FLTCTL_NO_PAGER = "true";
    await world.run("list-units");
    delete world.environment.FLTCTL_NO_PAGER;
    world.terminal.stdout = false;
    await world.run("list-units");
    expect(pagers()).toEqual([]);
  });

  test.each([
    [{}, "less"],
    [{ PAGER: "most -w" }, "most -w"],
    [{ PAGER: "most", SYSTEMD_PAGER: "more" }, "more"],
    [{ PAGER: "gone" }, "less"],
    [{ SYSTEMD_PAGER: "", PAGER: "most" }, ""],
    [{ PAGER: "cat" }, ""],
    // Through sudo the caller's choice of a program does not count.
    [{ PAGER: "most", SUDO_UID: "1000" }, "less"],
    [{ PAGER: "most", SUDO_UID: "1000", SYSTEMD_PAGERSECURE: "0" }, "most"],
  ])("with %p: %p", async (environment, expected) => {
    world.terminal.pagers = ["less", "more", "most"];
    Object.assign(world.environment, environment);
    const { out } = await world.run("list-machines");
    expect(pagers().join()).toBe(expected);
    expect(out === "").toBe(expected !== "");
    const isSecure = world.terminal.shown[0]?.environment.LESSSECURE === "1";
    expect(isSecure).toBe("SUDO_UID" in environment && !("SYSTEMD_PAGERSECURE" in environment));
  });

  test("no pager on this machine: the text itself", async () => {
    world.terminal.pagers = [];
    expect((await world.run("list-machines", "--no-legend", "--fields=ip")).out).toBe("172.17.8.103\n172.17.8.104\n");
  });

  test("a command that only fails starts none", async () => {
    expect((await world.run("cat", "nobody")).err).toBe("Unit nobody.service not found\n");
    expect(pagers()).toEqual([]);
  });

  test("leaving the pager ends the command, and is no failure", async () => {
    world = new CliWorld({
      machineCalls: {
        unitStatus: async function* () {},
        unitJournal: async function* (_machine, _unit, _request, signal) {
          yield new TextEncoder().encode("one\n");
          await new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("cut"))));
        },
      },
    });
    world.files.set("a.service", FILE);
    world.fleet.autoplace(M1);
    await world.run("start", "a");
    world.terminal.stdout = true;
    const running = world.start(["journal", "a"]);
    await settle();
    expect(world.terminal.shown[0]?.text).toBe("one\n");
    world.terminal.leave();
    expect(await running.done).toEqual({ status: 0, out: "", err: "" });
  });
});

describe("progress of a wait", () => {
  const LINE = "\r\x1b[K";
  beforeEach(() => {
    world.fleet.react = null;
  });
  const isUp = (name: string): void => {
    world.fleet.place(name, M1);
    world.fleet.setReport({ name, machineId: M1 });
  };

  test("plain lines where stderr is no terminal", async () => {
    const running = world.start(["start", "c", "d"]);
    await world.clock.advance(5_000);
    expect(running.said.err).toBe("");
    isUp("c.service");
    isUp("d.service");
    expect((await running.done).err).toBe("");
  });

  test("a line that is brought up to date, makes way for what is printed, and is gone at the end", async () => {
    world.terminal.stdout = true;
    world.terminal.stderr = true;
    world.environment.NO_COLOR = "1";
    const running = world.start(["start", "c", "d"]);
    await settle();
    await world.clock.advance(999);
    expect(running.said.err).toBe("");
    await world.clock.advance(1);
    expect(running.said.err).toBe("Waiting for 2 of 2 units: c.service, d.service (1 s)");
    await world.clock.advance(1_000);
    expect(running.said.err).toEndWith(`(1 s)${LINE}Waiting for 2 of 2 units: c.service, d.service (2 s)`);
    running.said.out = "";
    isUp("c.service");
    await settle();
    expect(running.said.out).toBe(`${LINE}Unit c.service launched on 113f16a7.../172.17.8.103\n`);
    await world.clock.advance(1_000);
    expect(running.said.err).toEndWith("Waiting for 1 of 2 units: d.service (3 s)");
    running.interrupt();
    const { err, status } = await running.done;
    expect(err).toEndWith(
      `(3 s)${LINE}Stopped waiting for [d.service]: what was asked for goes on without this command\nInterrupted\n`,
    );
    expect(status).toBe(130);
    // Nobody draws it after that.
    await world.clock.advance(5_000);
    expect(running.said.err).toBe(err);
  });

  test("a short wait shows nothing; a narrow terminal never wraps it; stdout elsewhere stays clean", async () => {
    world.terminal.stderr = true;
    world.terminal.columns = 20;
    const running = world.start(["start", "c"]);
    await settle();
    await world.clock.advance(1_000);
    expect(running.said.err).toBe("Waiting for c.serv…");
    isUp("c.service");
    const { out, err } = await running.done;
    expect(out).not.toContain(ESCAPE);
    expect(err).toEndWith(LINE);
    const short = world.start(["stop", "a"]);
    await settle();
    world.fleet.setReport({ name: "a.service", machineId: M1, jobState: "loaded", active: "inactive", sub: "dead" });
    expect((await short.done).err).toBe("Successfully stopped units [a.service].\n");
  });
});
