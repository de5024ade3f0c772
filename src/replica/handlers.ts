/**
 * What this member answers when another one forwards to it: one table for the daemon to register.
 *
 * @module
 */
import type { CallContext, CallHandler } from "../lib/calls.ts";
import { NewerFormatError } from "../lib/format.ts";
import { decodeRequest, encodeReply } from "./leader-codec.ts";
import { LEADER_METHOD } from "./leader-route.ts";
import type { ReplicaKv } from "./replica-kv.ts";

export function replicaHandlers(kv: Pick<ReplicaKv, "serve">): ReadonlyMap<string, CallHandler> {
  const handle = async (body: Uint8Array, context: CallContext): Promise<Uint8Array> => {
    let asked: ReturnType<typeof decodeRequest>;
    try {
      asked = decodeRequest(body);
    } catch (error) {
      if (!(error instanceof NewerFormatError)) throw error;
      // Nothing was done with it, and whoever asked is to hear why.
      return encodeReply({ kind: "failed", code: "unavailable", message: `Write failed: ${error.message}` });
    }
    const { request, timeoutMs } = asked;
    return encodeReply(await kv.serve(request, { signal: context.signal, timeoutMs }));
  };
  return new Map([[LEADER_METHOD, { kind: "unary", handle }]]);
}
