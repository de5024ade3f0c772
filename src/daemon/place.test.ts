/**
 * Where a daemon finds itself: addresses that follow from each other, and the refusals.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { loadConfig } from "../config/load.ts";
import { findPlace } from "./place.ts";

function place(argv: readonly string[], defaultAddress: string | null = "10.0.0.1") {
  const { config } = loadConfig({
    argv,
    env: {},
    readFile: () => null,
    argv0Name: "flt",
    user: { uid: 0, home: "/root" },
  });
  return findPlace(config, () => defaultAddress);
}
const THREE = "--initial-cluster=10.0.0.1:2380,10.0.0.2:2380,10.0.0.3:2380";

test("alone: no peer port, and no address is not worth a refusal", () => {
  expect(place([])).toEqual({ publicIp: "10.0.0.1", peer: null, members: null });
  expect(place([], null)).toEqual({ publicIp: "", peer: null, members: null });
  expect(place(["--listen-peer=10.0.0.1:2380"]).peer).toBeNull();
});

test("in a cluster listen_peer and advertise_peer follow from public_ip", () => {
  const { peer, members } = place([THREE]);
  expect([peer?.listen, peer?.advertise]).toEqual(["10.0.0.1:2380", "10.0.0.1:2380"]);
  const other = place([THREE, "--public-ip=10.0.0.2"], null);
  expect(other.peer?.advertise).toBe("10.0.0.2:2380");
  expect(other.members?.selfId).not.toBe(members?.selfId);
  expect(other.members?.clusterId).toBe(members?.clusterId);
});

test("behind an address that is not the host's own, both are named", () => {
  const { peer } = place([THREE, "--listen-peer=192.168.0.9:999", "--advertise-peer=10.0.0.3:2380"], null);
  expect([peer?.listen, peer?.advertise]).toEqual(["192.168.0.9:999", "10.0.0.3:2380"]);
});

describe("on an etcd", () => {
  const ETCD = "--etcd-servers=http://127.0.0.1:2379";
  test("no port is opened unasked: 2380 is etcd's own", () => {
    expect(place([ETCD])).toEqual({ publicIp: "10.0.0.1", peer: null, members: null });
    expect(place([ETCD], null)).toEqual({ publicIp: "", peer: null, members: null });
  });
  test("with listen_peer or advertise_peer, the one follows from the other", () => {
    const listening = place([ETCD, "--listen-peer=0.0.0.0:7001"]);
    expect(listening).toMatchObject({ peer: { listen: "0.0.0.0:7001", advertise: "10.0.0.1:7001" }, members: null });
    const advertised = place([ETCD, "--advertise-peer=192.168.0.1:7002"]);
    expect(advertised.peer).toEqual({ listen: "10.0.0.1:7002", advertise: "192.168.0.1:7002" });
    expect(() => place([ETCD, "--listen-peer=0.0.0.0:7001"], null)).toThrow("set public_ip");
  });
});

test("refusals name the culprit and the cure", () => {
  expect(() => place([THREE], null)).toThrow("set public_ip");
  expect(() => place([THREE], "10.0.0.9")).toThrow('"10.0.0.9:2380" is not among');
});
