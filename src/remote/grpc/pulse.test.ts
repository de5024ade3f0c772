import { expect, test } from "bun:test";
import { ManualClock } from "../../../test/fakes/manual-clock.ts";
import { Pulse } from "./pulse.ts";

function watchPulse({ answers = true, streams = 1 } = {}) {
  const clock = new ManualClock();
  const pings: number[] = [];
  const silences: string[] = [];
  const state = { answers, streams };
  const pulse = new Pulse({
    clock,
    ping: (answered) => {
      pings.push(clock.now());
      if (state.answers) clock.after(1, answered);
    },
    hasStreams: () => state.streams > 0,
    onSilence: (reason) => {
      silences.push(reason);
      pulse.stop();
    },
  });
  return { clock, pings, silences, pulse, state };
}

test("pings a silent connection no more often than every five seconds, for as long as it answers", async () => {
  const { clock, pings, silences } = watchPulse();
  await clock.advance(60_000);
  expect(pings.length).toBeGreaterThanOrEqual(8);
  for (let i = 1; i < pings.length; i++) expect((pings[i] ?? 0) - (pings[i - 1] ?? 0)).toBeGreaterThan(5_000);
  expect(silences).toEqual([]);
});

test("is quiet while something comes, and while no stream is open", async () => {
  const busy = watchPulse();
  for (let i = 0; i < 20; i++) {
    await busy.clock.advance(3_000);
    busy.pulse.heard();
  }
  expect(busy.pings).toEqual([]);
  const idle = watchPulse({ streams: 0 });
  await idle.clock.advance(60_000);
  expect(idle.pings).toEqual([]);
  idle.state.streams = 1;
  await idle.clock.advance(6_000);
  expect(idle.pings.length).toBe(1);
});

test("says so when a ping is not answered", async () => {
  const { clock, silences, state } = watchPulse();
  state.answers = false;
  await clock.advance(8_900);
  expect(silences).toEqual([]);
  await clock.advance(200);
  expect(silences).toEqual(["it did not answer a ping within 3000 ms"]);
  expect(clock.pending).toBe(0);
});

test("asks at once when a call waited in vain, but at most twice before something else is heard", async () => {
  const { clock, pings, pulse } = watchPulse();
  for (let i = 0; i < 5; i++) {
    pulse.suspect();
    await clock.advance(100);
  }
  expect(pings).toEqual([0, 100]);
  pulse.heard();
  pulse.suspect();
  expect(pings).toEqual([0, 100, 500]);
});

test("a suspicion is settled within a second", async () => {
  const { clock, silences, pulse } = watchPulse({ answers: false });
  pulse.suspect();
  await clock.advance(1_000);
  expect(silences).toEqual(["it did not answer a ping within 1000 ms"]);
});

test("stop() ends its timers", async () => {
  const { clock, pulse, silences } = watchPulse({ answers: false });
  pulse.suspect();
  pulse.stop();
  await clock.advance(60_000);
  expect([silences, clock.pending]).toEqual([[], 0]);
});
