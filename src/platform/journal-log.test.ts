import { expect, test } from "bun:test";
import { ManualClock } from "../../test/fakes/manual-clock.ts";
import { createJournalLog, type JournalLogSettings } from "./journal-log.ts";
import { encodeFields, type JournalFields, JournalSocket } from "./journal-socket.ts";

function world(settings: Partial<JournalLogSettings> = {}) {
  const clock = new ManualClock();
  const lines: string[] = [];
  const sent: JournalFields[] = [];
  const state = { isJournalThere: true };
  const log = createJournalLog(
    { level: "info", format: "journal", ...settings },
    {
      clock,
      write: (line) => lines.push(line),
      send: (fields) => state.isJournalThere && sent.push(fields) > 0,
      machine: "self",
      messageIdOf: (decision) => (decision === "moved" ? "0123" : undefined),
      unitField: "OBJECT_SYSTEMD_UNIT",
    },
  );
  return { clock, lines, sent, state, log };
}

test("a decision goes to the journal with its fields, its id, and under its unit", () => {
  const { log, sent, lines } = world();
  log.notice("Moved a", {
    decision: "moved",
    unit: "a.service",
    machine: "m2",
    from: "m1",
    retryAfterMs: 5,
    no: undefined,
  });
  expect(sent).toEqual([
    {
      MESSAGE: "Moved a from=m1 retryAfterMs=5",
      PRIORITY: "5",
      SYSLOG_IDENTIFIER: "flt",
      MESSAGE_ID: "0123",
      MACHINE: "m2",
      UNIT: "a.service",
      OBJECT_SYSTEMD_UNIT: "a.service",
      FLT_DECISION: "moved",
      FLT_FROM: "m1",
      FLT_RETRY_AFTER_MS: "5",
    },
  ]);
  expect(lines).toEqual([]);
});

test("what is no decision has no id, is not listed under its unit, and is about this machine", () => {
  const { log, sent } = world();
  log.warning("Careful", { unit: "a.service" });
  expect(sent).toEqual([
    { MESSAGE: "Careful", PRIORITY: "4", SYSLOG_IDENTIFIER: "flt", MACHINE: "self", UNIT: "a.service" },
  ]);
});

test("without the journal: a line on stderr with systemd's priority; as text with the level and all fields", () => {
  const { log, lines, state } = world();
  state.isJournalThere = false;
  log.error("Bad", { unit: "a.service", reason: "x y" });
  log.configure({ level: "debug", format: "text" });
  log.debug("Fine", { unit: "a.service" });
  expect(lines).toEqual(['<3>Bad reason="x y"\n', "debug: Fine unit=a.service\n"]);
});

test("levels below the configured one are dropped, and nobody can forge a line or a field", () => {
  const { log, sent } = world();
  log.debug("dropped");
  log.info("one\ntwo\0", { unit: "a\nPRIORITY=0", note: "x\ny" });
  expect(sent.length).toBe(1);
  expect(sent[0]?.MESSAGE).toBe("one\\ntwo\\x00 note=x\\ny");
  const text = Buffer.from(encodeFields(sent[0] ?? {})).toString("latin1");
  expect(text).toContain("UNIT\n\x0c\0\0\0\0\0\0\0a\nPRIORITY=0\n");
  expect(text.split("\n").filter((line) => line.startsWith("PRIORITY="))).toEqual(["PRIORITY=6", "PRIORITY=0"]);
});

test("no more lines a second than a bound, and how many were left out is told", async () => {
  const { log, sent, clock } = world();
  for (let count = 0; count < 3000; count++) log.info("again");
  expect(sent.length).toBe(2000);
  await clock.advance(1000);
  log.info("later");
  expect(sent.slice(2000).map(({ MESSAGE }) => MESSAGE)).toEqual([
    "Left out log lines: there were too many in one second lines=1000",
    "later",
  ]);
});

test("a journal that is not there is not tried again for a while", async () => {
  const clock = new ManualClock();
  const socket = new JournalSocket(clock, "/nonexistent/journal");
  const begin = performance.now();
  for (let count = 0; count < 1000; count++) expect(socket.send({ MESSAGE: "x" })).toBe(false);
  expect(performance.now() - begin).toBeLessThan(1000);
  await clock.advance(5001);
  expect(socket.send({ MESSAGE: "x" })).toBe(false);
});
