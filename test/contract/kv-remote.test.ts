/** The Kv contract on RemoteKv and a real etcd. @module */
import { describe, setDefaultTimeout } from "bun:test";
import { SILENT_LOG } from "../../src/lib/log.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { openRemoteKv } from "../../src/remote/index.ts";
import { EtcdServer, HAVE_ETCD } from "../etcd/etcd-server.ts";
import { kvContract } from "./kv.ts";

setDefaultTimeout(30_000);

/** etcd looks for leases that are over every half a second: time that passes for them must be real, and a bit longer. */
const LEASE_SLACK_MS = 500;

describe.skipIf(!HAVE_ETCD)("a real etcd", () => {
  kvContract("RemoteKv", async () => {
    const etcd = await EtcdServer.start();
    const kv = await openRemoteKv({
      servers: [etcd.url],
      requestTimeoutMs: 5_000,
      clock: systemClock,
      log: SILENT_LOG,
    });
    return {
      kv,
      advance: (ms) => Bun.sleep(ms + LEASE_SLACK_MS),
      close: async () => {
        await kv.close();
        await etcd.remove();
      },
    };
  });
});
