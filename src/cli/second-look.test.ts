/**
 * start and restart of services that die at once: what their machine says a moment later counts.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { CliWorld, M1 } from "../../test/fakes/cli-world.ts";
import { settle } from "../../test/fakes/manual-clock.ts";
import type { MachineInspection } from "../api/fleet/index.ts";
import { encodeText } from "../lib/text.ts";

const HELLO = "[Service]\nExecStart=/bin/false\n";
const DEAD = "ActiveState=failed\nSubState=failed\nResult=exit-code\n";

/** @param properties What systemd answers when it is asked again. */
function worldIn(properties: MachineInspection["unitProperties"]): CliWorld {
  const never = async function* (): AsyncGenerator<Uint8Array> {};
  const world = new CliWorld({
    inspection: { unitProperties: properties, unitDependencies: never, usage: never },
  });
  world.fleet.autoplace(M1);
  world.files.set("hello.service", HELLO);
  return world;
}

test("one that is called running may be dead by now: its machine is asked once more", async () => {
  const asked: string[] = [];
  const world = worldIn(async function* (machineId, unit, properties) {
    asked.push(`${unit} ${machineId === M1} ${properties}`);
    yield encodeText(DEAD);
  });
  const words =
    "Unit hello.service failed on 113f16a7.../172.17.8.103: systemd says failed/failed (Result: exit-code). " +
    "Look at `flt journal hello.service`\n";
  for (const verb of ["start", "restart"]) {
    const { status, out, err } = await world.run(verb, "hello.service");
    expect([status, err]).toEqual([1, words]);
    expect(out).not.toContain("launched");
  }
  const question = "hello.service true ActiveState,SubState,Result";
  expect(asked).toEqual([question, question]);
});

test("what has no process of its own is not asked again, nor are many at once", async () => {
  const world = worldIn(() => {
    throw new Error("asked");
  });
  const many = Array.from({ length: 9 }, (_, index) => `many${index}.service`);
  for (const name of [...many, "a.timer"]) world.files.set(name, HELLO);
  world.fleet.react = null;
  const timer = world.start(["start", "a.timer"]);
  await settle();
  world.fleet.place("a.timer", M1);
  world.fleet.setReport({ name: "a.timer", machineId: M1, sub: "waiting" });
  expect((await timer.done).status).toBe(0);
  world.fleet.autoplace(M1);
  expect((await world.run("start", ...many)).status).toBe(0);
});

test("a look that fails, or has no answer within 2 s, takes nothing back", async () => {
  const refused = worldIn(() => {
    throw Object.assign(new Error("its daemon has no peer port"), { code: "not-implemented" });
  });
  expect(await refused.run("start", "hello.service")).toMatchObject({ status: 0, err: "" });
  const silent = worldIn(async function* (_machineId, _unit, _properties, signal) {
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
  });
  const running = silent.start(["start", "hello.service"]);
  await settle();
  expect(running.said.out).toBe("Unit hello.service inactive\n");
  await silent.clock.advance(2_000);
  expect(await running.done).toMatchObject({ status: 0, err: "", out: expect.stringMatching(/ launched on .*\n$/) });
});
