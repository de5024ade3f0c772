/**
 * Certificates for tests of TLS, made by openssl when they are needed.
 *
 * @module
 */

/** An authority (ca), a server for 127.0.0.1 and a client: NAME.crt and NAME.key in the directory. */
export async function certificates(directory: string): Promise<void> {
  const openssl = async (...words: readonly string[]) => {
    const child = Bun.spawn(["openssl", ...words], { cwd: directory, stdout: "ignore", stderr: "pipe" });
    if ((await child.exited) !== 0) throw new Error(`openssl ${words[0]}: ${await child.stderr.text()}`);
  };
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  await openssl("req", "-x509", ...key, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=test authority");
  for (const [name, extensions] of [
    ["server", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth"],
    ["client", "extendedKeyUsage=clientAuth"],
  ] as const) {
    await Bun.write(`${directory}/${name}.ext`, extensions);
    await openssl("req", ...key.slice(0, -2), "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
    const files = ["-in", `${name}.csr`, "-out", `${name}.crt`, "-extfile", `${name}.ext`];
    await openssl("x509", "-req", ...files, "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2");
  }
}
