/**
 * --endpoint over unix, http and https as a process of its own, with certificates that are made for the run.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { FakeFleet } from "../../test/fakes/fake-fleet.ts";
import { ManualClock } from "../../test/fakes/manual-clock.ts";
import { createFleetApi } from "../api/fleet/index.ts";
import { SILENT_LOG } from "../lib/log.ts";

const M1 = "113f16a7000000000000000000000001";
const folder = mkdtempSync(`${tmpdir()}/flt-endpoint-`);
const servers: Bun.Server<undefined>[] = [];
const ports = { http: 0, https: 0, mutual: 0 };

async function openssl(...words: string[]): Promise<void> {
  const child = Bun.spawn(["openssl", ...words], { cwd: folder, stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  if ((await child.exited) !== 0) throw new Error(await new Response(child.stderr).text());
}

const EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/** NAME.pem and NAME.key, signed by ca.pem. */
async function makeCertificate(name: string): Promise<void> {
  await Bun.write(`${folder}/${name}.ext`, "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
  await openssl("req", ...EC, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
  const signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", `${name}.ext`];
  await openssl("x509", "-req", "-in", `${name}.csr`, "-out", `${name}.pem`, ...signed);
}

beforeAll(async () => {
  for (const ca of ["ca", "other"]) {
    await openssl(
      "req",
      "-x509",
      ...EC,
      "-keyout",
      `${ca}.key`,
      "-out",
      `${ca}.pem`,
      "-subj",
      `/CN=${ca}`,
      "-days",
      "2",
    );
  }
  await Promise.all([makeCertificate("server"), makeCertificate("client")]);
  const fleet = new FakeFleet();
  fleet.addMachine(M1, "172.17.8.103");
  const nothing = async function* (): AsyncGenerator<Uint8Array> {};
  const fetch = createFleetApi({
    view: fleet,
    units: fleet,
    machines: fleet,
    machineCalls: { unitStatus: nothing, unitJournal: nothing },
    ready: () => true,
    tokenLimit: 100,
    version: "0.1.0",
    machineId: M1,
    log: SILENT_LOG,
    clock: new ManualClock(),
  });
  const tls = { key: Bun.file(`${folder}/server.key`), cert: Bun.file(`${folder}/server.pem`) };
  const clientCa = { ca: Bun.file(`${folder}/ca.pem`), requestCert: true, rejectUnauthorized: true };
  const listen = (options: object): number => {
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: (request: Request) => fetch(request),
      ...options,
    });
    servers.push(server as Bun.Server<undefined>);
    return server.port ?? 0;
  };
  ports.http = listen({});
  ports.https = listen({ tls });
  ports.mutual = listen({ tls: { ...tls, ...clientCa } });
  servers.push(Bun.serve({ unix: `${folder}/api.sock`, fetch: (request) => fetch(request) }) as Bun.Server<undefined>);
}, 30_000);
afterAll(async () => {
  for (const server of servers) await server.stop(true);
  rmSync(folder, { recursive: true });
});

async function flt(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = Bun.spawn(
    [process.execPath, `${import.meta.dir}/../main.ts`, ...words, "list-machines", "--no-legend"],
    {
      cwd: folder,
      env: { PATH: process.env.PATH, HOME: folder },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    },
  );
  const [code, stdout, stderr] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code, stdout, stderr };
}

const ROW = "113f16a7...\t172.17.8.103\t-\n";
const CLIENT = ["--cert-file=client.pem", "--key-file=client.key"];

describe("--endpoint", () => {
  test("unix and http", async () => {
    expect(await flt(`--endpoint=unix://${folder}/api.sock`)).toEqual({ code: 0, stdout: ROW, stderr: "" });
    expect(await flt(`--endpoint=http://127.0.0.1:${ports.http}`)).toEqual({ code: 0, stdout: ROW, stderr: "" });
    expect((await flt(`--endpoint=127.0.0.1:${ports.http},http://nobody`)).stdout).toBe(ROW);
  });

  test("https: the server is who the authority says", async () => {
    const endpoint = `--endpoint=https://localhost:${ports.https}`;
    expect(await flt(endpoint, "--ca-file=ca.pem")).toEqual({ code: 0, stdout: ROW, stderr: "" });
    for (const wrong of [[], ["--ca-file=other.pem"]]) {
      const { code, stdout, stderr } = await flt(endpoint, ...wrong);
      expect([code, stdout]).toEqual([1, ""]);
      expect(stderr).toContain(
        "its certificate is signed by no authority that is trusted here. Name its authority: --ca-file",
      );
    }
    const byAddress = await flt(`--endpoint=https://127.0.0.2:${ports.https}`, "--ca-file=ca.pem");
    expect(byAddress.code).toBe(1);
  });

  test("https with a client certificate: without one, refused", async () => {
    const endpoint = `--endpoint=https://localhost:${ports.mutual}`;
    expect(await flt(endpoint, "--ca-file=ca.pem", ...CLIENT)).toEqual({ code: 0, stdout: ROW, stderr: "" });
    const without = await flt(endpoint, "--ca-file=ca.pem");
    expect([without.code, without.stdout]).toEqual([1, ""]);
    expect(without.stderr).toBe(
      `Cannot reach flt at https://localhost:${ports.mutual}: the TLS handshake failed. ` +
        "Does it speak TLS there, and ask for a client certificate (--cert-file, --key-file)?\n",
    );
  });

  test("files that are no certificates", async () => {
    const endpoint = `--endpoint=https://localhost:${ports.https}`;
    await Bun.write(`${folder}/nonsense.pem`, "nonsense\n");
    for (const words of [
      ["--ca-file=nonsense.pem"],
      ["--ca-file=ca.pem", "--cert-file=nonsense.pem", "--key-file=client.key"],
    ]) {
      const { code, stdout, stderr } = await flt(endpoint, ...words);
      expect([words, code, stdout]).toEqual([words, 1, ""]);
      expect(stderr).toMatch(/^Cannot use --(ca|cert)-file "nonsense.pem": it holds no certificate in PEM\n$/);
    }
    expect((await flt(endpoint, "--cert-file=client.pem")).stderr).toBe(
      "Cannot use --cert-file without --key-file: a certificate needs its key\n",
    );
    expect((await flt(endpoint, "--cert-file=client.pem", "--key-file=server.key")).stderr).toBe(
      'Cannot use --key-file "server.key": it is not the key of the certificate in "client.pem"\n',
    );
  });
});
