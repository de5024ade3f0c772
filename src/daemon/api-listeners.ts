/**
 * The API's listeners: those that systemd handed over, and those that the configuration asks for.
 *
 * Idea. A reload names the endpoints that are wanted now; what is open and still wanted is not touched, so that streams on it go on.
 * Inherited sockets are systemd's: they stay open for as long as the daemon runs, whatever listen_api says.
 *
 * Invariants.
 * - An endpoint that systemd handed over is never opened a second time.
 * - A reload that cannot open one endpoint opens and keeps the others, and says which one is missing.
 *
 * @module
 */
import { type Log, reasonOf } from "../lib/log.ts";
import { type ApiListener, listenApi, serveInherited } from "../platform/api-listener.ts";
import type { HttpHandler } from "../platform/http-connections.ts";
import type { InheritedSocket } from "../platform/inherited-sockets.ts";
import { whileStarting } from "./start-error.ts";

export interface ApiListenersOptions {
  readonly handler: HttpHandler;
  readonly inherited: readonly InheritedSocket[];
  readonly log: Log;
}

const ADVICE = "change listen_api, or end whoever has the address";

export class ApiListeners {
  readonly #options: ApiListenersOptions;
  readonly #inherited: ApiListener[] = [];
  readonly #own = new Map<string, ApiListener>();

  constructor(options: ApiListenersOptions) {
    this.#options = options;
  }

  /** Throws StartError for the first that cannot be opened; close() is due then, too. */
  async open(endpoints: readonly string[]): Promise<void> {
    const { handler, inherited } = this.#options;
    for (const socket of inherited) {
      const attempt = `Serving the API on ${socket.endpoint}, which systemd opened`;
      this.#inherited.push(await whileStarting(attempt, "", () => serveInherited(socket, handler)));
    }
    for (const endpoint of this.#ownOf(endpoints)) await this.#open(endpoint);
  }

  /** Opens what is new, closes what is not wanted any more. */
  async change(endpoints: readonly string[]): Promise<void> {
    const { log } = this.#options;
    const wanted = this.#ownOf(endpoints);
    for (const [endpoint, listener] of this.#own) {
      if (wanted.includes(endpoint)) continue;
      this.#own.delete(endpoint);
      await listener.close();
      log.notice("Serves the API no longer here", { endpoint });
    }
    for (const endpoint of wanted) {
      if (this.#own.has(endpoint)) continue;
      try {
        await this.#open(endpoint);
        log.notice("Serves the API here, too", { endpoint });
      } catch (error) {
        log.error(reasonOf(error));
      }
    }
  }

  async close(): Promise<void> {
    const listeners = [...this.#inherited.splice(0), ...this.#own.values()];
    this.#own.clear();
    await Promise.all(listeners.map((listener) => listener.close()));
  }

  async #open(endpoint: string): Promise<void> {
    const open = () => listenApi(endpoint, this.#options.handler);
    this.#own.set(endpoint, await whileStarting(`Listening for the API on ${endpoint}`, ADVICE, open));
  }

  #ownOf(endpoints: readonly string[]): string[] {
    const inherited = new Set(this.#options.inherited.map(({ endpoint }) => canonical(endpoint)));
    return endpoints.filter((endpoint) => !inherited.has(canonical(endpoint)));
  }
}

/** systemd follows the link from /var/run to /run before it opens a socket. */
function canonical(endpoint: string): string {
  return endpoint.replace("unix:///var/run/", "unix:///run/");
}
