/**
 * The client as a process of its own: its stdout, and what it leaves to the daemon.
 *
 * @module
 */
import { expect, test } from "bun:test";

/** @param script With the words `flt` in it, as a shell reads them. */
async function shell(script: string): Promise<{ code: number; stdout: string; stderr: string }> {
  const flt = `flt() { '${process.execPath}' '${import.meta.dir}/../main.ts' "$@"; }`;
  const child = Bun.spawn(["bash", "-c", `set -o pipefail; ${flt}; ${script}`], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [code, stdout, stderr] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code, stdout, stderr };
}

test("help daemon is the daemon's own help", async () => {
  const [asked, own] = await Promise.all([shell("flt help daemon"), shell("flt daemon --help")]);
  expect(own).toEqual({ code: 0, stdout: expect.stringMatching(/^Usage: flt daemon /), stderr: "" });
  expect(asked).toEqual(own);
});

test("a reader who leaves has seen enough; a disk that is full is a failure", async () => {
  expect(await shell("flt help | head -1")).toEqual({ code: 0, stdout: "flt: systemd for a cluster\n", stderr: "" });
  expect(await shell("flt completion bash > /dev/full")).toEqual({
    code: 1,
    stdout: "",
    stderr: "Cannot write to stdout: no space left on the device\n",
  });
  expect((await shell("flt nonsense 2> /dev/full")).code).toBe(1);
});
