/**
 * A real etcd for tests: Debian's, on loopback, with a data directory of its own, gone at the end.
 *
 * Idea. Elections are short (there is nobody to elect but itself), so that a server is up in half a second. It can be stopped, killed,
 * paused and started again on the same port with the same data.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";

const ROOT = `${import.meta.dir}/../..`;
const FOLDERS = ["/usr/bin", `${ROOT}/.tools/etcd/usr/bin`];
const binary = (name: string) => FOLDERS.map((folder) => `${folder}/${name}`).find((path) => existsSync(path));

/** False where scripts/setup found no Debian to take it from: such tests say that they were skipped. */
export const HAVE_ETCD = binary("etcd") !== undefined && binary("etcdctl") !== undefined;

export interface EtcdOptions {
  /** Files; given, the server speaks TLS only and wants a certificate from clients. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
  readonly flags?: readonly string[];
}

interface Place {
  readonly directory: string;
  readonly index: number;
  /** "name=url" of each member. */
  readonly peers: readonly string[];
}

const READY_TIMEOUT_MS = 20_000;
const READY = /serving client (traffic|requests)/;

export class EtcdServer {
  readonly port: number;
  readonly #place: Place;
  readonly #options: EtcdOptions;
  #process: Bun.Subprocess<"ignore", "ignore", "pipe"> | undefined;

  private constructor(place: Place, port: number, options: EtcdOptions) {
    this.#place = place;
    this.port = port;
    this.#options = options;
  }

  static async start(options: EtcdOptions = {}): Promise<EtcdServer> {
    const [server] = await EtcdServer.startCluster(1, options);
    return server as EtcdServer;
  }

  /** So many members of one cluster. */
  static async startCluster(size: number, options: EtcdOptions = {}): Promise<readonly EtcdServer[]> {
    const ports = await freePorts(2 * size);
    const peers = ports.slice(size).map((port, i) => `m${i}=http://127.0.0.1:${port}`);
    const servers = await Promise.all(
      peers.map(async (_, i) => {
        const directory = await mkdtemp(`${tmpdir()}/flt-etcd-`);
        return new EtcdServer({ directory, index: i, peers }, ports[i] as number, options);
      }),
    );
    await Promise.all(servers.map((server) => server.up()));
    return servers;
  }

  get url(): string {
    return `${this.#options.tls ? "https" : "http"}://127.0.0.1:${this.port}`;
  }

  /** Starts it (again), with the data it has. */
  async up(): Promise<void> {
    const { directory, index, peers } = this.#place;
    const [name = "", peer = ""] = peers[index]?.split("=") ?? [];
    const { tls, flags = [] } = this.#options;
    const words = [`--name=${name}`, `--data-dir=${directory}/data`, "--logger=zap", "--log-outputs=stderr"];
    words.push(`--listen-client-urls=${this.url}`, `--advertise-client-urls=${this.url}`);
    words.push(`--listen-peer-urls=${peer}`, `--initial-advertise-peer-urls=${peer}`);
    words.push(`--initial-cluster=${peers.join(",")}`, "--heartbeat-interval=50", "--election-timeout=500");
    if (tls)
      words.push(
        `--cert-file=${tls.cert}`,
        `--key-file=${tls.key}`,
        `--trusted-ca-file=${tls.ca}`,
        "--client-cert-auth",
      );
    const child = Bun.spawn([binary("etcd") ?? "etcd", ...words, ...flags], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
      env: {},
    });
    this.#process = child;
    await saysReady(child);
  }

  /** In order: it tells its clients. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }
  /** Its kernel still accepts connections; it says nothing. */
  pause(): void {
    this.#process?.kill("SIGSTOP");
  }
  resume(): void {
    this.#process?.kill("SIGCONT");
  }

  /** Throws away its data as well. */
  async remove(): Promise<void> {
    this.resume();
    await this.kill();
    await rm(this.#place.directory, { recursive: true, force: true });
  }

  /** Runs etcdctl against it; returns what it printed. */
  async ctl(...words: readonly string[]): Promise<string> {
    const { tls } = this.#options;
    const certificates = tls ? [`--cacert=${tls.ca}`, `--cert=${tls.cert}`, `--key=${tls.key}`] : [];
    const child = Bun.spawn([binary("etcdctl") ?? "etcdctl", `--endpoints=${this.url}`, ...certificates, ...words], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: { ETCDCTL_API: "3" },
    });
    const [out, errors, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    if (code !== 0) throw new Error(`etcdctl ${words.join(" ")}: ${errors.trim()}`);
    return out;
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    child?.kill(signal);
    await child?.exited;
  }
}

/** Reads what it logs, to its end, so that its pipe never fills. */
function saysReady(child: Bun.Subprocess<"ignore", "ignore", "pipe">): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = "";
    const timer = setTimeout(() => reject(new Error(`etcd is not ready: ${said.slice(-2_000)}`)), READY_TIMEOUT_MS);
    const read = async () => {
      const decoder = new TextDecoder();
      for await (const piece of child.stderr) {
        if (!timer.hasRef()) continue;
        said += decoder.decode(piece, { stream: true });
        if (!READY.test(said)) continue;
        clearTimeout(timer);
        timer.unref();
        resolve();
      }
      clearTimeout(timer);
      reject(new Error(`etcd ended: ${said.slice(-2_000)}`));
    };
    read().catch(reject);
  });
}

/** Ports that nobody listens on. Another process may take one before etcd does; then etcd says so. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const listeners = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    listeners.map(
      (listener) =>
        new Promise<number>((resolve) => {
          listener.listen(0, "127.0.0.1", () => resolve((listener.address() as { readonly port: number }).port));
        }),
    ),
  );
  await Promise.all(listeners.map((listener) => new Promise((resolve) => listener.close(resolve))));
  return ports;
}
