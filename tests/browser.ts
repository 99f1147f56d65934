/** The browser that pages are looked at in. */
import { after } from "node:test";
import { chromium } from "playwright-core";
import type { Browser } from "playwright-core";
import { without } from "./helpers.ts";

/** Why there is none here, for tests to be skipped; false where there is. */
export const noBrowser = without("chromium");

/** Starts it for a file of tests, and ends it after them; undefined where there is none. */
export async function startBrowser(): Promise<Browser | undefined> {
  if (noBrowser) return undefined;
  const args = ["--no-sandbox", "--disable-gpu"];
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args });
  after(() => browser.close());
  return browser;
}
