import { expect, test } from "bun:test";
import { ManualClock } from "../../test/fakes/manual-clock.ts";
import { machineId } from "../../test/fakes/registry-world.ts";
import { CallError, type Calls } from "../lib/calls.ts";
import { SILENT_LOG } from "../lib/log.ts";
import { encodeText } from "../lib/text.ts";
import { MachineProbes, PROBE_METHOD, witnessHandlers } from "./witness.ts";

const clock = new ManualClock();
const asked: string[] = [];
let answer: "alive" | "hangs";

function probe(address: string, signal: AbortSignal): Promise<"alive" | "silent"> {
  asked.push(address);
  if (answer === "alive") return Promise.resolve("alive");
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve("silent")));
}

const addressOf = (id: string) => (id === machineId(1) ? "10.0.0.1:2380" : "");
const handler = witnessHandlers({ probe, clock, addressOf }).get(PROBE_METHOD);

/** Calls that end at the witness's handler, as over the peer port. */
function callsTo(witness: string): Calls {
  return {
    call: async (address, method, body, options) => {
      if (address !== witness || method !== PROBE_METHOD || handler?.kind !== "unary") {
        throw new CallError("not-sent", "nobody there");
      }
      try {
        return await handler.handle(body, { signal: options?.signal ?? new AbortController().signal });
      } catch (error) {
        throw new CallError("refused", String(error), "bad-request");
      }
    },
    stream: () => {
      throw new CallError("not-sent", "no stream here");
    },
  };
}

const probes = new MachineProbes({ probe, calls: callsTo("10.0.0.2:2380"), log: SILENT_LOG });
const { signal } = new AbortController();

test("a witness asks the machine's kernel at the address that it knows", async () => {
  answer = "alive";
  const question = { witness: "10.0.0.2:2380", machineId: machineId(1), timeoutMs: 500 };
  expect(await probes.probeFrom(question, signal)).toBe("alive");
  expect(asked).toEqual(["10.0.0.1:2380"]);
});

test("a kernel that does not answer the witness is silent when the time is up", async () => {
  answer = "hangs";
  const verdict = probes.probeFrom({ witness: "10.0.0.2:2380", machineId: machineId(1), timeoutMs: 500 }, signal);
  await clock.advance(500);
  expect(await verdict).toBe("silent");
  expect(clock.pending).toBe(0);
});

test.each([
  ["that is gone", "10.0.0.7:2380", machineId(1)],
  ["that knows no such machine", "10.0.0.2:2380", machineId(5)],
])("a witness %s says nothing", async (_what, witness, id) => {
  answer = "alive";
  expect(await probes.probeFrom({ witness, machineId: id, timeoutMs: 500 }, signal)).toBe("silent");
});

test.each([["{}"], ["null"], ['{"machine":"../x","timeoutMs":1}'], [`{"machine":"${machineId(1)}","timeoutMs":-1}`]])(
  "a question that is none, %s, is refused",
  async (text) => {
    if (handler?.kind !== "unary") throw new Error("no unary method");
    await expect(handler.handle(encodeText(text), { signal })).rejects.toMatchObject({ code: "bad-request" });
  },
);
