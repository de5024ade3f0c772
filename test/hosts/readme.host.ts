/**
 * The README's commands, typed as they stand there: three hosts with the addresses that it names, and a fourth, from which
 * they are set up. (What it says of laptops is run by user.host.ts, of the package by package.host.ts.)
 *
 * @module
 */
import { expect } from "bun:test";
import { cp, rm } from "node:fs/promises";
import { FLT_BINARY } from "./lib/cluster.ts";
import { leaderOf, machinesOf, unitsOf, waitActive } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { readmeBlock } from "./lib/readme.ts";
import { exec, mustExec, type Outcome } from "./lib/shell.ts";
import { makeIdentity, startSshd } from "./lib/sshd.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually } from "./lib/wait.ts";

const ROOT = `${import.meta.dir}/../..`;
const ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"];
const BY_HAND = "Three hosts by hand";
const SLOW_MS = 120_000;

function bash(host: Host, script: string, folder = "/root"): Promise<Outcome> {
  return host.run(["bash", "-c", `cd ${folder}\n${script}`], { timeoutMs: SLOW_MS });
}

async function mustBash(host: Host, script: string, folder?: string): Promise<string> {
  const { code, stdout, stderr } = await bash(host, script, folder);
  expect([script, code, stderr]).toEqual([script, 0, expect.any(String)]);
  return stdout;
}

/** Ids and addresses differ from one cluster to the next. */
function anonymous(text: string): string {
  return text.replaceAll(/[0-9a-f]{8}\.\.\.\/\d+\.\d+\.\d+\.\d+/g, "MACHINE").replaceAll(/\s+/g, " ");
}

/** An authority, the server's certificate, a client's: where the README's command looks for them, and what the proxy needs. */
async function makeCertificates(host: Host): Promise<void> {
  const openssl = (line: string): Promise<string> => mustBash(host, `openssl ${line}`);
  await host.mustRun(["mkdir", "-p", "/etc/ssl"]);
  await host.write("/etc/ssl/openssl.cnf", "[req]\ndistinguished_name=names\n[names]\n");
  const fresh = "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc";
  await openssl(`${fresh} -x509 -days 2 -subj /CN=authority -keyout ca.key -out ca.pem`);
  for (const name of ["server", "me"]) {
    await host.write("/root/extensions", "subjectAltName=IP:10.0.0.1\n");
    await openssl(`${fresh} -subj /CN=${name} -keyout ${name}.key -out ${name}.csr`);
    await openssl(
      `x509 -req -days 2 -in ${name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile extensions -out ${name}.pem`,
    );
  }
}

hostSuite("README.md", { hosts: 4, flt: false, canInstall: true, addresses: ADDRESSES }, (suite) => {
  const three = (all: readonly Host[]): Host[] => all.slice(0, 3);

  suite.case(
    "step 1: the executable is built",
    async () => {
      const { code, stderr } = await exec(["bash", "-c", readmeBlock(BY_HAND, 0)], {
        timeoutMs: SLOW_MS,
        env: { PATH: process.env.PATH ?? "", PWD: ROOT, HOME: process.env.HOME ?? "/root" },
        cwd: ROOT,
      });
      expect([code, stderr]).toEqual([0, expect.stringContaining("built flt version")]);
    },
    SLOW_MS,
  );

  suite.case(
    "step 2: it installs itself on each host",
    async (cluster) => {
      const desk = cluster.host("h4");
      const publicKey = await makeIdentity(desk);
      await Promise.all(three(cluster.hosts).map((host) => startSshd(host, publicKey)));
      await desk.write("/root/.ssh/config", "StrictHostKeyChecking accept-new\n");
      await desk.mustRun(["mkdir", "-p", "/root/flt/dist"]);
      await Bun.write(desk.path("/root/flt/dist/flt"), Bun.file(FLT_BINARY));
      await desk.mustRun(["chmod", "755", "/root/flt/dist/flt"]);
      await cp(`${ROOT}/examples`, desk.path("/root/flt/examples"), { recursive: true });
      const said = await mustBash(desk, readmeBlock(BY_HAND, 1), "/root/flt");
      expect(said.match(/^Created \/usr\/local\/bin\/flt$/gm)).toHaveLength(3);
    },
    SLOW_MS,
  );

  suite.case("step 3: the daemons find each other", async (cluster) => {
    const hosts = three(cluster.hosts);
    await Promise.all(hosts.map((host) => mustBash(host, readmeBlock(BY_HAND, 2))));
    await eventually("a leader on each", 20_000, async () => {
      return (await Promise.all(hosts.map((host) => machinesOf(host)))).every((machines) => machines.length === 3);
    });
  });

  suite.case("step 4: three machines, and the first unit", async (cluster) => {
    const host = cluster.host("h1");
    const said = await mustBash(host, readmeBlock(BY_HAND, 3));
    expect(said.match(/\t10\.0\.0\.[123]\tdisk=ssd,region=eu$/gm)).toHaveLength(3);
    expect(said).toMatch(/Unit hello\.service launched on [0-9a-f]{8}\.\.\.\/10\.0\.0\.[123]\n/);
    expect(said).toContain("Active: active (running)");
  });

  suite.case("the transcript of the first screen", async (cluster) => {
    const host = cluster.host("h2");
    await host.mustFlt("destroy", "hello");
    await eventually("an empty cluster", 10_000, async () => (await host.mustFlt("list-units", "--no-legend")) === "");
    await cp(`${ROOT}/examples`, host.path("/root/examples"), { recursive: true });
    for (const part of readmeBlock("flt: a distributed init system", 0).split(/^\$ /m).slice(1)) {
      const [command = "", ...output] = part.split("\n");
      expect(anonymous(await mustBash(host, command))).toBe(anonymous(output.join("\n")));
      await waitActive(host, ["hello.service"]);
    }
  });

  suite.case("from another machine: through SSH, and through a proxy that ends TLS", async (cluster) => {
    const [gate, , , desk] = cluster.hosts as [Host, Host, Host, Host];
    await mustBash(desk, "./flt/dist/flt install");
    await makeCertificates(desk);
    const folder = `${cluster.hosts[0]?.directory}/tls`;
    await cp(desk.path("/root"), folder, { recursive: true, filter: (path) => !/\/(flt|\.ssh)$/.test(path) });
    const proxy = Bun.spawn(
      [
        ...[
          "nsenter",
          `--target=${gate.initPid}`,
          "--net",
          "--",
          process.execPath,
          `${import.meta.dir}/lib/tls-proxy.ts`,
        ],
        ...[folder, "10.0.0.1", "8443", gate.path("/run/flt.sock")],
      ],
      { stdin: "ignore", stdout: "pipe", stderr: "inherit" },
    );
    try {
      await proxy.stdout.getReader().read();
      for (const line of readmeBlock("From another machine", 0).trim().split("\n")) {
        const { code, stdout, stderr } = await bash(desk, line);
        expect([line, code, stderr]).toEqual([line, 0, expect.any(String)]);
        if (line.includes("list-units"))
          expect([line, stdout]).toEqual([line, expect.stringContaining("hello.service")]);
      }
      const stranger = await bash(desk, "flt --endpoint=https://10.0.0.1:8443 --ca-file=ca.pem list-units");
      expect(stranger.code).toBe(1);
    } finally {
      proxy.kill();
      await proxy.exited;
      await rm(folder, { recursive: true, force: true });
    }
  });

  suite.case("sockets from systemd, on a host where flt runs already", async (cluster) => {
    const host = cluster.host("h3");
    await mustBash(host, readmeBlock("Looking after a daemon", 0));
    expect(await host.property("flt.socket", "ActiveState")).toBe("active");
    expect(await host.mustFlt("list-units")).toContain("hello.service");
    await leaderOf(cluster, undefined, 20_000).catch(() => undefined);
  });

  suite.case("the API, with curl", async (cluster) => {
    const host = cluster.host("h1");
    await eventually("three machines", 20_000, async () => (await machinesOf(host)).length === 3);
    const block = readmeBlock("The API", 0);
    expect(block).toContain('"a.service"');
    await host.mustFlt("submit", "/root/hello.service");
    await host.write("/root/a.service", "[Service]\nExecStart=/bin/sleep infinity\n");
    await host.mustRun(["cp", "/root/a.service", "/root/b.service"]);
    await mustBash(host, "flt submit a.service b.service");
    // A stream has no end of its own, and every answer is to be told from the next.
    const bounded =
      'curl() { local status=0; timeout 2 curl --fail-with-body "$@" || status=$?; echo; [ $status = 124 ] || return $status; }\nset -e\n';
    const said = await mustBash(host, bounded + block.replace("/MACHINE/", `/${host.machineId}/`));
    expect(said).toContain('{"units":[');
    expect(said).toContain('{"name":"a.service","status":204,"revision":');
    expect(said).toContain('"type":"synced"');
    expect(said).toContain("fleet_engine_");
    expect((await unitsOf(host)).map(({ name }) => name)).not.toContain("b.service");
  });

  suite.case(
    "what is installed: again, and away",
    async (cluster) => {
      const host = cluster.host("h3");
      const lines = readmeBlock("What is installed, and how it goes away", 0).trim().split("\n");
      expect(lines).toHaveLength(3);
      expect(await mustBash(host, lines[0] ?? "")).toContain("Nothing to do");
      expect(await mustBash(host, lines[1] ?? "")).toContain("flt.service runs");
      expect(await mustBash(host, lines[2] ?? "")).toContain("Removed /usr/local/bin/flt");
      expect((await host.run(["flt", "--version"])).code).not.toBe(0);
    },
    SLOW_MS,
  );
});

hostSuite("README.md: the demo", { hosts: 1, flt: false }, (suite) => {
  suite.case(
    "./scripts/demo",
    async () => {
      const said = await mustExec([`${ROOT}/scripts/demo`], {
        timeoutMs: SLOW_MS,
        env: { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "/root" },
      });
      expect(said).not.toBe("");
    },
    SLOW_MS,
  );
});
