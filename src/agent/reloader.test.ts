import { expect, test } from "bun:test";
import { settle } from "../../test/fakes/manual-clock.ts";
import { Reloader } from "./reloader.ts";

function slowReload() {
  const running: PromiseWithResolvers<void>[] = [];
  const reloader = new Reloader(() => {
    const reload = Promise.withResolvers<void>();
    running.push(reload);
    return reload.promise;
  });
  return { reloader, running };
}

test("those who ask in the same turn share a reload, those who come while it runs share the next one", async () => {
  const { reloader, running } = slowReload();
  const ended: string[] = [];
  void reloader.reload();
  void reloader.reload().then(() => ended.push("first"));
  await settle();
  void reloader.reload().then(() => ended.push("second"));
  void reloader.reload().then(() => ended.push("third"));
  expect(running.length).toBe(1);
  running[0]?.resolve();
  await settle();
  expect(ended).toEqual(["first"]);
  expect(running.length).toBe(2);
  running[1]?.resolve();
  await settle();
  expect(ended).toEqual(["first", "second", "third"]);
});

test("a reload that fails is its own callers' failure only", async () => {
  const { reloader, running } = slowReload();
  const first = reloader.reload();
  await settle();
  const second = reloader.reload();
  running[0]?.reject(new Error("no"));
  await expect(first).rejects.toThrow("no");
  await settle();
  running[1]?.resolve();
  await second;
});
