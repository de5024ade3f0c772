/**
 * What the tests of the API by curl share: requests, units, and transcripts that are reviewed.
 *
 * Idea. One host with a machine id and an address that are always the same, so that a transcript is the same to the byte. Each
 * answer is held against the daemon's own OpenAPI document besides.
 *
 * @module
 */
import { expect } from "bun:test";
import { AnswerChecker, type OpenApiDocument } from "../contract/openapi.ts";
import type { Cluster } from "../hosts/lib/cluster.ts";
import type { Host } from "../hosts/lib/host.ts";
import { type CurlRequest, curl, transcript } from "./curl.ts";

/** What the cluster helper gives to its first host. */
export const M1 = `${"1".repeat(8)}${"1f17".padStart(24, "0")}`;
export const STRANGER = "9".repeat(32);
export const U = "/fleet/v1/units";

export const SLEEPER = [
  { section: "Unit", name: "Description", value: "Sleeps" },
  { section: "Unit", name: "Documentation" },
  { section: "Service", name: "ExecStart", value: "/bin/sleep infinity" },
];
export const OTHER = [{ section: "Service", name: "ExecStart", value: "/bin/sleep 9999" }];
export const fleetOptions = (...pairs: [string, string][]): object[] => [
  ...SLEEPER,
  ...pairs.map(([name, value]) => ({ section: "X-Fleet", name, value })),
];

export function get(path: string): CurlRequest {
  return { method: "GET", path };
}
export function put(name: string, body: unknown, type?: string | null): CurlRequest {
  const request = { method: "PUT", path: `${U}/${name}`, body: typeof body === "string" ? body : JSON.stringify(body) };
  return type === undefined ? request : { ...request, type };
}
export function patch(ops: unknown, type?: string | null): CurlRequest {
  const request = { method: "PATCH", path: "/fleet/v1/machines", body: JSON.stringify(ops) };
  return type === undefined ? request : { ...request, type };
}
export const key = (name: string, id = M1): string => `/${id}/metadata/${name}`;

export async function answerChecker(host: Host): Promise<AnswerChecker> {
  return new AnswerChecker((await (await host.api("/flt/v1/openapi.json")).json()) as OpenApiDocument);
}

/** Makes the requests one after the other and holds their transcript to test/compat/golden/NAME.txt. */
export async function golden(cluster: Cluster, name: string, requests: readonly CurlRequest[]): Promise<void> {
  const [host] = cluster.hosts as [Host];
  const checker = await answerChecker(host);
  const parts: string[] = [];
  for (const request of requests) {
    const answer = await curl(host, request);
    parts.push(transcript(request, answer));
    // The older prefix serves what the newer one does; the document names only that.
    const path = (request.path.split("?", 1)[0] ?? "").replace("/v1-alpha", "/v1").replace(/(.)\/$/, "$1");
    const problem = checker.problem(request.method, path, answer);
    if (problem !== null) throw new Error(`${request.method} ${request.path}: ${problem}`);
  }
  const text = parts.join("\n");
  const path = `${import.meta.dir}/golden/${name}.txt`;
  if (process.env.GOLDEN === "update") await Bun.write(path, text);
  expect(text).toBe(await Bun.file(path).text());
}
