import { expect, test } from "bun:test";
import { ClusterConfigError, deriveCluster } from "./members.ts";

const LIST = ["10.0.0.1:2380", "10.0.0.2:2380", "node-3.example:2380"];

test("every member derives the same cluster from the list, whatever its order and case", () => {
  const [one, two] = [deriveCluster(LIST, "10.0.0.1:2380"), deriveCluster([...LIST].reverse(), " NODE-3.example:2380")];
  expect(two.clusterId).toBe(one.clusterId);
  expect(two.members).toEqual(one.members);
  expect(one.selfId).not.toBe(two.selfId);
  expect(new Set(one.members.values())).toEqual(new Set(LIST));
  for (const id of one.members.keys()) expect(Number.isSafeInteger(id) && id > 0).toBe(true);
  expect(one.members.get(one.selfId)).toBe("10.0.0.1:2380");
});

test("ids and cluster depend on the whole list: a member of another list is a stranger", () => {
  const three = deriveCluster(LIST, LIST[0] ?? "");
  const two = deriveCluster(LIST.slice(0, 2), LIST[0] ?? "");
  expect(two.clusterId).not.toBe(three.clusterId);
  expect(two.selfId).not.toBe(three.selfId);
});

test("the derivation is part of the format: data directories remember it", () => {
  const { clusterId, selfId } = deriveCluster(LIST, "10.0.0.1:2380");
  expect([clusterId, selfId]).toEqual(["2c8b7adcae4b374c3964100c406a4938", 162_054_911_727_666]);
});

test.each([
  [["10.0.0.1:2380"], "10.0.0.9:2380", '"10.0.0.9:2380" is not among 10.0.0.1:2380; set advertise_peer'],
  [["a:1", "A:1"], "a:1", 'names "a:1" twice'],
  [["a:1", "b:1", "c:1", "d:1", "e:1", "f:1"], "a:1", "names 6 members, more than 5; name three or five"],
  [["a"], "a:1", '"a" is not host:port'],
  [["a:0"], "a:1", '"a:0" is not host:port'],
  [["a:65536"], "a:1", '"a:65536" is not host:port'],
  [["::1:2380"], "a:1", '"::1:2380" is not host:port'],
  [["a:1"], "", 'Reading advertise_peer failed: "" is not host:port'],
  [[], "a:1", "names no member"],
])("%j as %s is refused", (list, self, message) => {
  expect(() => deriveCluster(list, self)).toThrow(ClusterConfigError);
  expect(() => deriveCluster(list, self)).toThrow(message);
});

test("IPv6 addresses stand in brackets", () => {
  expect([...deriveCluster(["[FD00::1]:2380"], "[fd00::1]:2380").members.values()]).toEqual(["[fd00::1]:2380"]);
});
