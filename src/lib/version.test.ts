/** @module */
import { expect, test } from "bun:test";
import packageJson from "../../package.json";
import { VERSION } from "./version.ts";

test("VERSION is the version of package.json", () => {
  expect(VERSION).toBe(packageJson.version);
});
