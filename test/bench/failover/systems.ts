/**
 * The two systems that the failover benchmark treats alike: flt's daemons and etcd's, on the same three hosts and disks.
 *
 * Idea. Both are services of their hosts' systemd with the same restart rules and the same election timing (etcd's defaults are flt's:
 * heartbeats of 100 ms, an election after a second). What is done to them is done from outside: a signal to the process, the host's power.
 *
 * @module
 */
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import type { Cluster } from "../../hosts/lib/cluster.ts";
import { programPath } from "../../hosts/lib/etcd.ts";
import { leaderOf } from "../../hosts/lib/fleet.ts";
import type { Host } from "../../hosts/lib/host.ts";
import { eventually } from "../../hosts/lib/wait.ts";
import type { ClientOptions } from "./client.ts";

export interface System {
  readonly unit: string;
  readonly client: ClientOptions;
  /** Agreed on by a majority; waits for an election to end. */
  leader(): Promise<Host>;
  /** Waits until every member on a host that is on takes part again. */
  settled(): Promise<void>;
  /** How long the last hand-over of the leadership took, as the member says in its log; null: it does not say. */
  handOverMs(host: Host): Promise<number | null>;
}

export const FLT_API_PORT = 4002;
const CLIENT_PORT = 12_379;
const PEER_PORT = 12_380;
const SETTLED_MS = 30_000;
/** etcd's data lies beside flt's, on the disk that outlives a power cut. */
const ETCD_DATA = "/var/lib/flt/etcd-of-bench";
const ETCD_UNIT = "etcd-of-bench.service";

/** For the cluster's configuration: the API on the network, too. */
export function fltConfigOf(hosts: number): Record<string, Record<string, string>> {
  const names = Array.from({ length: hosts }, (_, index) => index + 1);
  return Object.fromEntries(
    names.map((number) => [
      `h${number}`,
      { listen_api: `unix:///run/flt.sock,http://10.77.0.${10 + number}:${FLT_API_PORT}` },
    ]),
  );
}

export function urls(cluster: Cluster, port: number): Record<string, string> {
  return Object.fromEntries(cluster.hosts.map((host) => [host.name, `http://${host.address}:${port}`]));
}

export function fltOn(cluster: Cluster): System {
  return {
    unit: "flt.service",
    client: { flavour: "flt", members: urls(cluster, FLT_API_PORT) },
    leader: () => leaderOf(cluster),
    settled: async () => {
      await Promise.all(cluster.hosts.map((host) => cluster.ready(host)));
      await leaderOf(cluster);
    },
    handOverMs: async (host) => {
      const said = [
        ...(await host.journal("flt.service", 30)).matchAll(/Handed the store's leadership over.*tookMs=(\d+)/g),
      ];
      return said.length === 0 ? null : Number(said.at(-1)?.[1]);
    },
  };
}

function etcdUnit(cluster: Cluster, host: Host): string {
  const peers = cluster.hosts.map(({ name, address }) => `${name}=http://${address}:${PEER_PORT}`).join(",");
  const flags = [
    `--name=${host.name}`,
    `--data-dir=${ETCD_DATA}`,
    `--listen-client-urls=http://${host.address}:${CLIENT_PORT}`,
    `--advertise-client-urls=http://${host.address}:${CLIENT_PORT}`,
    `--listen-peer-urls=http://${host.address}:${PEER_PORT}`,
    `--initial-advertise-peer-urls=http://${host.address}:${PEER_PORT}`,
    `--initial-cluster=${peers}`,
  ];
  return (
    `[Unit]\nStartLimitIntervalSec=0\n\n[Service]\nType=notify\nExecStart=/usr/local/bin/etcd ${flags.join(" ")}\n` +
    "Restart=always\nRestartSec=1s\n\n[Install]\nWantedBy=multi-user.target\n"
  );
}

interface EndpointStatus {
  readonly Endpoint: string;
  readonly Status: { readonly header: { readonly member_id: number }; readonly leader: number };
}

export async function etcdOn(cluster: Cluster): Promise<System> {
  for (const host of cluster.hosts) {
    for (const name of ["etcd", "etcdctl"]) {
      await copyFile(programPath(name) ?? "", `${host.directory}/bin/${name}`);
    }
    const system = `${host.directory}/systemd/system`;
    await writeFile(`${system}/${ETCD_UNIT}`, etcdUnit(cluster, host));
    await mkdir(`${system}/multi-user.target.wants`, { recursive: true });
    await host.mustRun(["systemctl", "daemon-reload"]);
  }
  const enable = ["systemctl", "enable", "--now", ETCD_UNIT];
  await Promise.all(cluster.hosts.map((host) => host.mustRun(enable, { timeoutMs: SETTLED_MS })));
  const status = async (): Promise<readonly EndpointStatus[]> => {
    const asker = cluster.hosts.find((host) => host.isOn);
    const endpoints = cluster.hosts.filter((host) => host.isOn).map((host) => `http://${host.address}:${CLIENT_PORT}`);
    const ask = ["env", "ETCDCTL_API=3", "etcdctl", `--endpoints=${endpoints.join(",")}`, "--command-timeout=2s"];
    const outcome = await asker?.run([...ask, "endpoint", "status", "-w", "json"]);
    return JSON.parse(outcome?.stdout || "[]") as EndpointStatus[];
  };
  const leader = () =>
    eventually("etcd's leader", SETTLED_MS, async () => {
      const members = await status();
      const [first] = members;
      const agree = members.length >= 2 && members.every(({ Status }) => Status.leader === first?.Status.leader);
      const found = members.find(({ Status }) => Status.header.member_id === Status.leader);
      return agree && cluster.hosts.find((host) => found?.Endpoint === `http://${host.address}:${CLIENT_PORT}`);
    });
  return {
    unit: ETCD_UNIT,
    client: { flavour: "etcd", members: urls(cluster, CLIENT_PORT) },
    leader,
    settled: async () => {
      await eventually("every member of etcd", SETTLED_MS, async () => {
        return (await status()).length === cluster.hosts.filter((host) => host.isOn).length;
      });
      await leader();
    },
    handOverMs: () => Promise.resolve(null),
  };
}
