import { expect, test } from "bun:test";
import { FORMAT_LEVEL } from "../lib/format.ts";
import { clusterLevel } from "./cluster-level.ts";

const voters = ["10.0.0.1:2380", "10.0.0.2:2380"];
const at = (digit: number, format: number) =>
  [`${digit}`.repeat(32), { address: `10.0.0.${digit}:2380`, format }] as const;

test("every voter known: the lowest level counts, and says whose it is; never above our own", () => {
  expect(clusterLevel(new Map([at(1, FORMAT_LEVEL + 1), at(2, FORMAT_LEVEL + 1)]), voters)).toEqual({
    level: FORMAT_LEVEL,
    because: "",
  });
  expect(clusterLevel(new Map([at(1, 0), at(2, FORMAT_LEVEL)]), voters)).toEqual({
    level: 0,
    because: "machine 11111111",
  });
});

test("a voter that was never seen keeps it at the first, whatever the others know", () => {
  const level = clusterLevel(new Map([at(1, 7)]), voters);
  expect(level).toEqual({ level: 1, because: "the member 10.0.0.2:2380, which was not seen yet" });
});

test("a machine that is no voter counts, too; where there are none nobody is missed", () => {
  expect(clusterLevel(new Map([at(9, 0)]), []).because).toBe("machine 99999999");
  expect(clusterLevel(new Map(), []).level).toBe(FORMAT_LEVEL);
});
