/**
 * The files that an etcd's TLS needs: read as they are, and refused with option and path in one line.
 *
 * @module
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../config/load.ts";
import { readEtcdTls } from "./etcd-access.ts";
import { StartError } from "./start-error.ts";

const folder = mkdtempSync(join(tmpdir(), "flt-etcd-access-"));
const file = (name: string) => join(folder, name);

beforeAll(async () => {
  for (const name of ["one", "two"]) {
    const ask = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "1"];
    const out = ["-nodes", "-subj", `/CN=${name}`, "-keyout", file(`${name}.key`), "-out", file(`${name}.pem`)];
    const child = Bun.spawn(["openssl", ...ask, ...out], { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
    expect(await child.exited).toBe(0);
  }
  writeFileSync(file("nonsense"), "secret words");
  writeFileSync(file("damaged.key"), "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n");
  writeFileSync(file("damaged.pem"), "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n");
});
afterAll(() => rmSync(folder, { recursive: true }));

function read(options: Readonly<Record<string, string>>) {
  const argv = Object.entries(options).map(([name, value]) => `--etcd-${name}=${file(value)}`);
  const { config } = loadConfig({
    argv: ["--etcd-servers=https://10.0.0.5:2379", ...argv],
    env: {},
    readFile: () => null,
    argv0Name: "flt",
    user: { uid: 0, home: "/root" },
  });
  return readEtcdTls(config);
}

test("what is set is read, and nothing else", () => {
  expect(read({})).toEqual({});
  expect(read({ cafile: "one.pem" })).toEqual({ ca: readFileSync(file("one.pem"), "utf8") });
  expect(Object.keys(read({ cafile: "one.pem", certfile: "two.pem", keyfile: "two.key" }))).toEqual([
    "ca",
    "cert",
    "key",
  ]);
});

const refusals: readonly (readonly [Readonly<Record<string, string>>, string, string, string])[] = [
  [{ cafile: "missing" }, "etcd_cafile", "missing", "no such file or directory"],
  [{ cafile: "." }, "etcd_cafile", "", "illegal operation on a directory"],
  [{ cafile: "nonsense" }, "etcd_cafile", "nonsense", "it holds no certificate in PEM"],
  [{ cafile: "one.key" }, "etcd_cafile", "one.key", "it holds no certificate in PEM"],
  [{ certfile: "one.pem", keyfile: "one.pem" }, "etcd_keyfile", "one.pem", "it holds no private key in PEM"],
  [{ certfile: "one.pem", keyfile: "damaged.key" }, "etcd_keyfile", "damaged.key", "its key is damaged, or"],
  [{ certfile: "damaged.pem", keyfile: "one.key" }, "etcd_certfile", "damaged.pem", "its certificate is damaged"],
  [{ certfile: "one.pem", keyfile: "two.key" }, "etcd_keyfile", "two.key", "it is not the key of the certificate in"],
];
test.each(refusals)("refused: %j", (options, option, path, why) => {
  let said: unknown;
  try {
    read(options);
  } catch (error) {
    said = error;
  }
  expect(said).toBeInstanceOf(StartError);
  const { message } = said as StartError;
  expect(message).toContain(`Using ${option} "${file(path).replace(/\/$/, "")}" failed: ${why}`);
  expect(message).not.toMatch(/\n|secret words|c2Vj/);
});
