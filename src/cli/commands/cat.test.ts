/**
 * cat: the cluster's files, one or several, and nothing else on stdout.
 *
 * @module
 */
import { beforeEach, expect, test } from "bun:test";
import { CliWorld } from "../../../test/fakes/cli-world.ts";

const HELLO = "[Unit]\nDescription=Hello\n\n[Service]\nExecStart=/bin/sh -c \\\n  true\nEnvironment=\n";
const OTHER = "[Service]\nExecStart=/bin/false\n";

let world: CliWorld;
beforeEach(async () => {
  world = new CliWorld();
  world.files.set("hello.service", HELLO);
  world.files.set("other.service", `# a comment\n${OTHER}`);
  await world.run("submit", "hello.service", "other.service");
  world.files.clear();
});

test("one: the file as it was, but for comments", async () => {
  expect(await world.run("cat", "hello")).toEqual({ status: 0, out: HELLO, err: "" });
  expect((await world.run("cat", "other.service")).out).toBe(OTHER);
});

test("several: in the order that was asked for, an empty line between them", async () => {
  expect(await world.run("cat", "other", "hello.service")).toEqual({ status: 0, out: `${OTHER}\n${HELLO}`, err: "" });
});

test("one that does not exist hides none of the others: 5, as fleetctl 1", async () => {
  const said = { out: `${HELLO}\n${OTHER}`, err: "Unit nobody.service not found\n" };
  expect(await world.run("cat", "hello", "nobody", "other")).toEqual({ status: 5, ...said });
  expect(await world.start(["cat", "hello", "nobody", "other"], "fleetctl").done).toEqual({ status: 1, ...said });
});

test("none at all", async () => {
  expect(await world.run("cat")).toEqual({ status: 1, out: "", err: "One unit file must be provided\n" });
});
