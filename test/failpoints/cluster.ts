/**
 * Three members as processes on loopback, each with a directory of its own: started, killed, asked, and removed at the end.
 *
 * @module
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deriveCluster } from "../../src/replica/index.ts";
import { freePorts } from "../etcd/etcd-server.ts";
import { eventually } from "../hosts/lib/wait.ts";
import { controlSocket } from "./control.ts";
import type { Owner } from "./promises.ts";

const START_MS = 20_000;
const CALL_MS = 6_000;
const SIZE = 3;
const STDERR_KEPT = 20_000;
const DESCRIBED = 2_000;

export interface MemberState {
  readonly id: number;
  readonly role: string;
  readonly term: number;
  readonly leader: number;
  readonly commit: number;
  readonly applied: number;
  readonly lastIndex: number;
  readonly firstIndex: number;
  readonly snapshotIndex: number;
  readonly diskFull: boolean;
  readonly hash: { readonly revision: number; readonly digest: string };
}

type Child = Bun.Subprocess<"pipe", "pipe", "pipe">;

/** What a process left: how it ended, and its last words. */
export interface End {
  readonly signal: NodeJS.Signals | number | null;
  readonly status: number | null;
  readonly said: string;
}

export class Member {
  readonly directory: string;
  readonly owner: Owner;
  readonly #words: readonly string[];
  #child: Child | null = null;
  #said = "";
  #ended: Promise<End> = Promise.resolve({ signal: null, status: 0, said: "" });

  constructor(executable: string, directory: string, address: string, all: readonly string[]) {
    this.directory = directory;
    const { clusterId, selfId } = deriveCluster(all, address);
    this.owner = { clusterId, nodeId: selfId };
    this.#words = [executable, directory, address, all.join(",")];
    mkdirSync(directory, { mode: 0o700 });
  }

  get pid(): number {
    if (this.#child === null) throw new Error("Ask a member for its process: it has none");
    return this.#child.pid;
  }
  get isUp(): boolean {
    return this.#child !== null;
  }
  get said(): string {
    return this.#said;
  }
  /** Resolves when the present process, or the last one, ended. */
  get ended(): Promise<End> {
    return this.#ended;
  }

  /** Starts its process; `around` are words in front of it: a tracer. */
  launch(failpoint = "", around: readonly string[] = []): void {
    const child = Bun.spawn([...around, ...this.#words], {
      // Ends with this process: then the member ends, too.
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, FLT_FAILPOINT: failpoint },
    });
    this.#child = child;
    this.#said = "";
    const heard = this.#listen(child);
    this.#ended = child.exited.then(async (): Promise<End> => {
      await heard;
      if (this.#child === child) this.#child = null;
      return { signal: child.signalCode, status: child.exitCode, said: this.#said };
    });
  }

  /** @returns How long it took until it served. @throws with its words when it refused to. */
  async start(): Promise<number> {
    const begin = performance.now();
    this.launch();
    await this.ready();
    return performance.now() - begin;
  }

  async ready(): Promise<void> {
    const child = this.#child;
    const reader = child?.stdout.getReader();
    const timer = setTimeout(() => child?.kill("SIGKILL"), START_MS);
    const { done } = (await reader?.read()) ?? { done: true };
    clearTimeout(timer);
    reader?.releaseLock();
    if (done) throw new Error(`A start was refused: ${(await this.#ended).said}`);
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<End> {
    this.#child?.kill(signal);
    return await this.#ended;
  }

  async call<T = null>(path: string, body?: Uint8Array): Promise<T> {
    const response = await fetch(`http://member${path}`, {
      unix: controlSocket(this.directory),
      method: "POST",
      signal: AbortSignal.timeout(CALL_MS),
      ...(body === undefined ? {} : { body }),
    });
    const answer = (await response.json()) as T & { readonly code?: string; readonly message?: string };
    if (!response.ok) throw new Error(`${answer.code}: ${answer.message}`);
    return answer;
  }

  state(): Promise<MemberState> {
    return this.call<MemberState>("/state");
  }

  async #listen(child: Child): Promise<void> {
    const decoder = new TextDecoder();
    for await (const piece of child.stderr) {
      this.#said = (this.#said + decoder.decode(piece, { stream: true })).slice(-STDERR_KEPT);
    }
  }
}

export class TestCluster {
  readonly members: readonly Member[];
  readonly #directory: string;

  private constructor(directory: string, members: readonly Member[]) {
    this.#directory = directory;
    this.members = members;
  }

  /** Directories and addresses; no process yet. */
  static async prepare(executable: string): Promise<TestCluster> {
    const directory = mkdtempSync(join(tmpdir(), "flt-failpoints-"));
    const addresses = (await freePorts(SIZE)).map((port) => `127.0.0.1:${port}`);
    const members = addresses.map((address, i) => new Member(executable, join(directory, `m${i}`), address, addresses));
    return new TestCluster(directory, members);
  }

  member(place: number): Member {
    return this.members[place % this.members.length] as Member;
  }

  others(member: Member): readonly Member[] {
    return this.members.filter((other) => other !== member);
  }

  /** Starts whoever is down. @returns the longest time that one took. */
  async startAll(): Promise<number> {
    const took = await Promise.all(this.members.filter(({ isUp }) => !isUp).map((member) => member.start()));
    return Math.max(0, ...took);
  }

  leader(): Promise<Member> {
    return eventually("a leader", 10_000, async () => {
      for (const member of this.members) {
        if (member.isUp && (await member.state().catch(() => null))?.role === "leader") return member;
      }
      return undefined;
    });
  }

  async follower(nth = 0): Promise<Member> {
    return this.others(await this.leader())[nth % (SIZE - 1)] as Member;
  }

  /** How each member stands, and its last words, for whoever looks into a failure. */
  async describe(): Promise<readonly string[]> {
    return await Promise.all(
      this.members.map(async (member, place) => {
        const state = member.isUp ? await member.state().catch((error: unknown) => String(error)) : "down";
        return `m${place}: ${JSON.stringify(state)} ${member.said.slice(-DESCRIBED)}`;
      }),
    );
  }

  async remove(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()));
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
