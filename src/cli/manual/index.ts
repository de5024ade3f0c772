/**
 * The manual: every page, as roff.
 *
 * @module
 */
import type { Command } from "../command.ts";
import { commandPage, overviewPage } from "./command-pages.ts";
import { configPage, daemonPage } from "./daemon-pages.ts";
import { type Page, renderPage } from "./roff.ts";
import { unitPage } from "./unit-page.ts";

export interface ManualPage {
  /** "flt-start.1": its file below man1, without the compression's suffix. */
  readonly fileName: string;
  readonly section: Page["section"];
  readonly roff: string;
}

export function manualPages(commands: readonly Command[], version: string): ManualPage[] {
  const pages = [overviewPage(commands), ...commands.map(commandPage), daemonPage(), configPage(), unitPage()];
  return pages.map((page) => ({
    fileName: `${page.name}.${page.section}`,
    section: page.section,
    roff: renderPage(page, version),
  }));
}
