/**
 * What this member answers when another one forwards to it: one table for the daemon to register.
 *
 * @module
 */
import type { CallContext, CallHandler } from "../lib/calls.ts";
import { NewerFormatError } from "../lib/format.ts";
import {
  DIGEST_METHOD,
  decodeQuestion,
  decodeReport,
  encodeReading,
  STATE_METHOD,
  VERDICT_METHOD,
} from "./consistency-codec.ts";
import { decodeRequest, encodeReply } from "./leader-codec.ts";
import { LEADER_METHOD } from "./leader-route.ts";
import type { ReplicaKv } from "./replica-kv.ts";

const NOTHING = new Uint8Array(0);

export function replicaHandlers(
  kv: Pick<ReplicaKv, "serve" | "reading" | "heed" | "state">,
): ReadonlyMap<string, CallHandler> {
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
  const tellDigest = async (body: Uint8Array): Promise<Uint8Array> => {
    const { index, timeoutMs } = decodeQuestion(body);
    return encodeReading(await kv.reading(index, timeoutMs));
  };
  const heed = (body: Uint8Array): Promise<Uint8Array> => {
    kv.heed(decodeReport(body));
    return Promise.resolve(NOTHING);
  };
  const tellState = (body: Uint8Array): AsyncIterable<Uint8Array> => {
    const { index, timeoutMs } = decodeQuestion(body);
    return kv.state(index, timeoutMs);
  };
  return new Map<string, CallHandler>([
    [LEADER_METHOD, { kind: "unary", handle }],
    [DIGEST_METHOD, { kind: "unary", handle: tellDigest }],
    [VERDICT_METHOD, { kind: "unary", handle: async (body) => await heed(body) }],
    [STATE_METHOD, { kind: "stream", handle: tellState }],
  ]);
}
