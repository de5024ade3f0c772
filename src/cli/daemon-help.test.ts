/**
 * What the client leaves to the daemon: its help.
 *
 * @module
 */
import { expect, test } from "bun:test";

async function flt(...words: string[]): Promise<{ code: number; stdout: string }> {
  const child = Bun.spawn([process.execPath, `${import.meta.dir}/../main.ts`, ...words], {
    stdin: "ignore",
    stdout: "pipe",
  });
  const [code, stdout] = await Promise.all([child.exited, new Response(child.stdout).text()]);
  return { code, stdout };
}

test("help daemon is the daemon's own help", async () => {
  const [asked, own] = await Promise.all([flt("help", "daemon"), flt("daemon", "--help")]);
  expect(own).toEqual({ code: 0, stdout: expect.stringMatching(/^Usage: flt daemon /) });
  expect(asked).toEqual(own);
  expect((await flt("help")).stdout).toContain("Commands");
});
