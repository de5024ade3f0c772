/**
 * debian/copyright: whose code is in the executable, and under which terms.
 *
 * Idea. The bundler says which packages it took; each of them has its license beside it. So the file cannot forget one.
 *
 * @module
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";

const ROOT = `${import.meta.dir}/../..`;

const HEAD = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: flt

Files: *
Copyright: the flt authors
License: Apache-2.0
 On Debian systems, the text of the license is in /usr/share/common-licenses/Apache-2.0.

Files: usr/bin/flt
Copyright: the flt authors, and those named below for what is compiled into it
License: Apache-2.0 and others
 The executable has the runtime Bun in it (Copyright Jarred Sumner and others, MIT license), which links JavaScriptCore and
 WebKit (LGPL-2.1, Copyright Apple Inc. and others), and the libraries that https://bun.sh/docs/project/license lists.
 The text of the LGPL is in /usr/share/common-licenses/LGPL-2.1. Below follow the packages that flt itself bundles.
`;

/** Names of the packages that the bundle is made of. */
async function bundledPackages(): Promise<string[]> {
  const result = await Bun.build({
    entrypoints: [`${ROOT}/src/main.ts`],
    target: "bun",
    external: ["usocket", "x11"],
    metafile: true,
  });
  const names = Object.keys(result.metafile?.inputs ?? {}).flatMap((path) => {
    const [, name] = /^.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path) ?? [];
    return name === undefined ? [] : [name];
  });
  if (names.length === 0) throw new Error("Write debian/copyright: the bundler names no package");
  return [...new Set(names)].sort((left, right) => (left < right ? -1 : 1));
}

function licenseText(folder: string): string {
  const name = readdirSync(folder).find((file) => /^(licen[sc]e|copying)/i.test(file));
  if (name !== undefined) return readFileSync(`${folder}/${name}`, "utf8");
  const readme = readdirSync(folder).find((file) => /^readme/i.test(file));
  const text = readme === undefined ? "" : readFileSync(`${folder}/${readme}`, "utf8");
  return /^#*\s*licen[sc]e[\s\S]*$/im.exec(text)?.[0] ?? "";
}

/** A field's further lines begin with a blank; an empty one is a dot. */
function indented(text: string): string {
  const lines = text.trim().split(/\r?\n/);
  return lines.map((line) => (line.trim() === "" ? " ." : ` ${line.trimEnd()}`)).join("\n");
}

interface Manifest {
  readonly version: string;
  readonly license?: string | { readonly type?: string };
  readonly author?: string | { readonly name?: string };
}

function stanza(name: string): string {
  const folder = `${ROOT}/node_modules/${name}`;
  if (!existsSync(folder)) throw new Error(`Write debian/copyright: ${folder} is not there; run scripts/setup`);
  const { version, license, author } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8")) as Manifest;
  const own = licenseText(folder);
  // Debian has the long one in one place for all.
  const text = /TERMS AND CONDITIONS FOR USE, REPRODUCTION/.test(own)
    ? own.replace(
        /^.*Apache License\s+Version 2\.0[\s\S]*?END OF TERMS AND CONDITIONS/m,
        "See /usr/share/common-licenses/Apache-2.0.",
      )
    : own;
  const holder =
    /^.*?(copyright\s.*\d{4}.*)$/im.exec(own)?.[1]?.trim() ??
    (typeof author === "object" ? author.name : author) ??
    `the authors of ${name}`;
  return `Files: bundled/${name}-${version}/*\nCopyright: ${holder}\nLicense: ${(typeof license === "object" ? license.type : license) ?? "see the text"}\n${indented(text)}\n`;
}

export async function copyrightFile(): Promise<string> {
  return [HEAD, ...(await bundledPackages()).map(stanza)].join("\n");
}
