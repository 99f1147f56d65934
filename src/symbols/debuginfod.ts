/**
 * Debug files from the servers of `DEBUGINFOD_URLS`, by build id. They are kept where elfutils' own client keeps them, in
 * the same form, so that each file comes once for all tools.
 */
import { createWriteStream, existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import process from "node:process";
import { once } from "node:events";
import { home, makeFolder } from "../file/folder.ts";
import { missingPermission } from "../native/build.ts";
import { bytes as readableBytes } from "../profile/format.ts";

/** Seconds for which "no such file" holds, when elfutils' own setting does not say. */
const MISS_SECONDS = 600;
/** Milliseconds until a server must have begun to answer, and for which it may be silent after that. */
const PATIENCE = 10_000;
/** Milliseconds that all downloads of one report may take, `DEBUGINFOD_MAXTIME` when it is set. */
const ALL_TIME = 120_000;
/** Bytes that a file may have, `DEBUGINFOD_MAXSIZE` when it is set. */
const MOST_BYTES = 1 << 30;
/** The status of an answer that holds: there is no such file. */
const NOT_FOUND = 404;

/** Options of {@linkcode Debuginfod}. */
export interface DebuginfodOptions {
  /** Base addresses of the servers, in the order in which they are asked; `DEBUGINFOD_URLS` when left out. */
  readonly urls?: readonly string[] | undefined;
  /** Folder of what was fetched. */
  readonly folder?: string | undefined;
  /** Milliseconds of silence after which a server is given up. */
  readonly patience?: number | undefined;
}

/** A positive whole number in the environment. */
function setting(name: string): number | undefined {
  const n = Number(process.env[name]);
  return Number.isSafeInteger(n) && n > 0 ? n : undefined;
}

/** The servers that the environment names. */
export function debuginfodUrls(): string[] {
  let named: string;
  try {
    named = process.env.DEBUGINFOD_URLS ?? "";
  } catch {
    return []; // Deno without --allow-env
  }
  return named.split(/\s+/).filter((url) => /^https?:\/\/./.test(url)).map((url) => url.replace(/\/+$/, ""));
}

/** Where elfutils keeps what it fetched. */
function sharedFolder(): string {
  if (process.env.DEBUGINFOD_CACHE_PATH) return process.env.DEBUGINFOD_CACHE_PATH;
  const old = join(home(), ".debuginfod_client_cache");
  if (existsSync(old)) return old;
  const xdg = process.env.XDG_CACHE_HOME;
  return join(xdg && isAbsolute(xdg) ? xdg : join(home(), ".cache"), "debuginfod_client");
}

/** Fetches debug files. */
export class Debuginfod {
  readonly #urls: readonly string[];
  readonly #folder: string;
  readonly #patience: number;
  readonly #until: number;
  readonly #mostBytes = setting("DEBUGINFOD_MAXSIZE") ?? MOST_BYTES;
  /** Servers that failed: they are not waited for twice. */
  readonly #down = new Set<string>();
  /** What went wrong, a line each. */
  readonly problems = new Set<string>();

  constructor({ urls = debuginfodUrls(), folder = sharedFolder(), patience }: DebuginfodOptions = {}) {
    this.#urls = urls;
    this.#folder = folder;
    const seconds = setting("DEBUGINFOD_TIMEOUT");
    this.#patience = patience ?? Math.min(PATIENCE, seconds === undefined ? PATIENCE : seconds * 1000);
    const most = setting("DEBUGINFOD_MAXTIME");
    this.#until = Date.now() + (most === undefined ? ALL_TIME : most * 1000);
  }

  /** Path of the debug file of a build; undefined when no server has it. Calls `step` as bytes come in. */
  async find(buildId: string, step?: (bytes: number) => void): Promise<string | undefined> {
    if (!/^([0-9a-f]{2})+$/.test(buildId) || this.#urls.length === 0) return undefined;
    const path = join(this.#folder, buildId, "debuginfo");
    const kept = this.#kept(path);
    if (kept !== undefined) return kept || undefined;
    let denials = 0;
    for (const url of this.#urls.filter((url) => !this.#down.has(url))) {
      const left = this.#until - Date.now();
      if (left <= 0) {
        this.problems.add(
          `debuginfod took too long: the rest of the debug files was not fetched (DEBUGINFOD_MAXTIME gives it more seconds)`,
        );
        return undefined;
      }
      try {
        if (await this.#fetch(`${url}/buildid/${buildId}/debuginfo`, path, left, step)) return path;
        denials++;
      } catch (error) {
        this.#failed(url, error);
      }
    }
    if (denials === this.#urls.length) this.#remember(path);
    return undefined;
  }

  #failed(url: string, error: unknown): void {
    const missing = missingPermission(error);
    const { message, cause, name } = error as Error;
    if (name === "TooLargeError") {
      this.problems.add(message);
      return;
    }
    this.#down.add(url);
    const why = missing ??
      (name === "SilentError" ? message : (cause as Error | undefined)?.message ?? message).replace(/\n[^]*/, "");
    this.problems.add(`no debug files from ${url}: ${why}`);
  }

  /** What was fetched before: a path, "" for a file that no server had, undefined when nobody asked lately. */
  #kept(path: string): string | undefined {
    try {
      const stat = statSync(path);
      if (!stat.isFile()) return undefined;
      if (stat.size > 0) return path;
      if (Date.now() - stat.mtimeMs < this.#missSeconds() * 1000) return "";
      rmSync(path, { force: true });
    } catch {
      // Not there.
    }
    return undefined;
  }

  #missSeconds(): number {
    try {
      const seconds = parseInt(readFileSync(join(this.#folder, "cache_miss_s"), "utf8"), 10);
      return seconds >= 0 ? seconds : MISS_SECONDS;
    } catch {
      return MISS_SECONDS; // elfutils' client was not used here
    }
  }

  /** An empty file says, as elfutils has it, that there was none. */
  #remember(path: string): void {
    try {
      makeFolder(join(path, ".."), 0o700);
      writeFileSync(path, "", { mode: 0o600, flag: "wx" });
    } catch {
      // The next report asks again.
    }
  }

  /** Fetches a file into its place, whole or not at all; false when the server has none. */
  async #fetch(url: string, path: string, left: number, step?: (bytes: number) => void): Promise<boolean> {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const wait = () => {
      clearTimeout(timer);
      const patience = Math.max(1, Math.min(this.#patience, left));
      timer = setTimeout(() => abort.abort(silent(patience)), patience);
    };
    const end = setTimeout(() => abort.abort(silent(left)), left);
    const made = `${path}.${process.pid}.${Date.now()}.part`;
    let close: (() => Promise<void>) | undefined;
    try {
      wait();
      const { finished } = await import("node:stream/promises");
      const response = await fetch(url, { signal: abort.signal, headers: { "user-agent": "heaptap" } });
      if (response.status === NOT_FOUND) {
        await response.body?.cancel();
        return false;
      }
      if (!response.ok || !response.body) {
        await response.body?.cancel();
        throw new Error(`it answered ${response.status} ${response.statusText}`.trim());
      }
      makeFolder(join(path, ".."), 0o700);
      const file = createWriteStream(made, { mode: 0o600 });
      const closed = finished(file);
      closed.catch(() => {}); // told by what waits for it below
      // It may be about to be opened: what is taken away before that comes back.
      close = () => {
        file.destroy();
        return closed.catch(() => {});
      };
      let got = 0;
      for await (const piece of response.body as unknown as AsyncIterable<Uint8Array>) {
        wait();
        got += piece.length;
        if (got > this.#mostBytes) throw tooLarge(url, this.#mostBytes);
        step?.(got);
        if (!file.write(piece)) await Promise.race([once(file, "drain"), closed]);
      }
      file.end();
      await closed;
      renameSync(made, path);
      return got > 0;
    } catch (error) {
      throw abort.signal.aborted ? abort.signal.reason : error;
    } finally {
      clearTimeout(timer);
      clearTimeout(end);
      await close?.();
      rmSync(made, { force: true });
    }
  }
}

function named(name: string, message: string): Error {
  return Object.assign(new Error(message), { name });
}

function silent(milliseconds: number): Error {
  return named("SilentError", `it did not answer within ${Math.ceil(milliseconds / 1000)} s`);
}

function tooLarge(url: string, most: number): Error {
  return named(
    "TooLargeError",
    `"${url}" is larger than ${readableBytes(most)}: it was not fetched (DEBUGINFOD_MAXSIZE allows more)`,
  );
}
