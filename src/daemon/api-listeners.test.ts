/**
 * Listeners over a reload: what stays wanted stays open, streams on it included.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { temporaryFolders } from "../../test/fakes/temporary-folder.ts";
import { SILENT_LOG } from "../lib/log.ts";
import { ApiListeners } from "./api-listeners.ts";

const folder = temporaryFolders("listeners")();
const endpoint = (name: string) => `unix://${folder}/${name}`;

/** A stream that says one word and then nothing, for as long as it is read. */
function silent(): Promise<Response> {
  const start = (controller: ReadableStreamDefaultController) => controller.enqueue(new TextEncoder().encode("hello"));
  return Promise.resolve(new Response(new ReadableStream({ start })));
}

function make(): { readonly listeners: ApiListeners; readonly errors: string[] } {
  const errors: string[] = [];
  const log = { ...SILENT_LOG, error: (message: string) => void errors.push(message) };
  return { listeners: new ApiListeners({ handler: silent, inherited: [], log }), errors };
}

test("added ones open, removed ones close, a stream on an unchanged one goes on", async () => {
  const { listeners } = make();
  await listeners.open([endpoint("a"), endpoint("b")]);
  const reader = (await fetch("http://flt/", { unix: `${folder}/a` })).body?.getReader();
  await reader?.read();
  let hasEnded = false;
  const next = reader
    ?.read()
    .catch(() => ({ done: true }))
    .finally(() => {
      hasEnded = true;
    });
  await listeners.change([endpoint("a"), endpoint("c")]);
  expect(["a", "b", "c"].map((name) => existsSync(`${folder}/${name}`))).toEqual([true, false, true]);
  // An end of that stream would have been heard by the time that another one has begun.
  const other = (await fetch("http://flt/", { unix: `${folder}/a` })).body?.getReader();
  expect((await other?.read())?.value).toBeDefined();
  expect(hasEnded).toBe(false);
  await listeners.close();
  expect(await next).toMatchObject({ done: true });
  expect(existsSync(`${folder}/c`)).toBe(false);
});

test("one that cannot be opened is named; the others are, and the next reload tries again", async () => {
  const { listeners, errors } = make();
  const other = createServer().listen(`${folder}/taken`);
  await listeners.open([]);
  await listeners.change([endpoint("taken"), endpoint("free")]);
  expect(errors).toEqual([expect.stringContaining(`Listening for the API on ${endpoint("taken")} failed: `)]);
  expect(existsSync(`${folder}/free`)).toBe(true);
  await new Promise((resolve) => other.close(resolve));
  await listeners.change([endpoint("taken"), endpoint("free")]);
  expect(existsSync(`${folder}/taken`)).toBe(true);
  await listeners.close();
});

test("a start that cannot open one fails", async () => {
  const { listeners } = make();
  const other = createServer().listen(`${folder}/first`);
  await expect(listeners.open([endpoint("first")])).rejects.toThrow(
    `Listening for the API on ${endpoint("first")} failed: another daemon answers there; `,
  );
  await listeners.close();
  other.close();
});
