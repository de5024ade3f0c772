/** The Kv contract on LocalKv. @module */
import { LocalKv } from "../../src/store/local-kv.ts";
import { ManualClock } from "../fakes/manual-clock.ts";
import { kvContract } from "./kv.ts";

kvContract("LocalKv", async () => {
  const clock = new ManualClock();
  const kv = new LocalKv({ clock });
  return { kv, advance: (ms) => clock.advance(ms), close: async () => kv.close() };
});
