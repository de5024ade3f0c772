/**
 * The door of remote/: a real etcd as the store, behind the Kv port. Load it lazily: it brings HTTP/2 and protobuf.
 *
 * @module
 */
import { checkOptions, type RemoteKvOptions } from "./options.ts";
import { RemoteKv } from "./remote-kv.ts";

export { type RemoteKvOptions, RemoteOptionsError, type RemoteTls } from "./options.ts";
export { RemoteKv, type RemoteState } from "./remote-kv.ts";

/** Checks the options (RemoteOptionsError); no server needs to be up yet. */
export async function openRemoteKv(options: RemoteKvOptions): Promise<RemoteKv> {
  return new RemoteKv(options, checkOptions(options));
}
