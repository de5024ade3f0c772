/**
 * Where a daemon finds itself: addresses that follow from each other, and the refusals.
 *
 * @module
 */
import { expect, test } from "bun:test";
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
  expect(place([])).toEqual({ publicIp: "10.0.0.1", cluster: null });
  expect(place([], null)).toEqual({ publicIp: "", cluster: null });
});

test("in a cluster listen_peer and advertise_peer follow from public_ip", () => {
  const { cluster } = place([THREE]);
  expect([cluster?.listen, cluster?.advertise]).toEqual(["10.0.0.1:2380", "10.0.0.1:2380"]);
  const other = place([THREE, "--public-ip=10.0.0.2"], null);
  expect(other.cluster?.advertise).toBe("10.0.0.2:2380");
  expect(other.cluster?.members.selfId).not.toBe(cluster?.members.selfId);
  expect(other.cluster?.members.clusterId).toBe(cluster?.members.clusterId);
});

test("behind an address that is not the host's own, both are named", () => {
  const { cluster } = place([THREE, "--listen-peer=192.168.0.9:999", "--advertise-peer=10.0.0.3:2380"], null);
  expect([cluster?.listen, cluster?.advertise]).toEqual(["192.168.0.9:999", "10.0.0.3:2380"]);
});

test("refusals name the culprit and the cure", () => {
  expect(() => place([THREE], null)).toThrow("set public_ip");
  expect(() => place([THREE], "10.0.0.9")).toThrow('"10.0.0.9:2380" is not among');
});
