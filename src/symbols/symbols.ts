/**
 * Names for the frames of a profile. They are looked up when a report wants them, only for the frames
 * that it shows, and kept by build id in the user's cache folder, so that the next report is quick.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { cacheFolder, missingPermission } from "../native/build.ts";
import type { CallPath, Frame, Module, Profile } from "../profile/profile.ts";
import { matches } from "../profile/select.ts";
import { writeWhole } from "../file/whole_file.ts";
import { openBackend, SymbolTables } from "./backend.ts";
import type { Backend, Name } from "./backend.ts";
import { carriedNames } from "./carried.ts";
import { findNames } from "./debug_files.ts";
import type { NameSource } from "./debug_files.ts";
import { kindOf } from "./kinds.ts";
import type { FrameKind } from "./kinds.ts";
import { readableName } from "./names.ts";
import { findPerfMap } from "./perfmap.ts";
import { pltNames } from "./plt.ts";

/** Called as look-ups go on: addresses done and wanted. */
export type Progress = (done: number, total: number) => void;

/** Options of {@linkcode Symbols}. */
export interface SymbolOptions {
  /** Name of the tool to use in place of the best that is there. */
  readonly symboliser?: string | undefined;
  /** Folders to search for debug files, by build id and by name, before the system's `/usr/lib/debug`. */
  readonly debugFolders?: readonly string[] | undefined;
  /** Whether to read and write the name cache; true when left out. */
  readonly cache?: boolean;
  /** Runs the parts of the work that do not wait; to measure them, or to leave them out of a measurement. */
  readonly within?: (<T>(part: () => T) => T) | undefined;
}

/** A frame of a stack with its name, as reports show it. */
export interface NamedFrame extends Name {
  /** What the function is known by in another build: see {@linkcode readableName}. "" when it has no name. */
  readonly key: string;
  /** Whose code it is. */
  readonly kind: FrameKind;
  /** Path of the module, "" for code of no object. */
  readonly module: string;
  /** Return address, in the module or, without one, in memory. */
  readonly address: number;
  /** How its caller was found: see {@linkcode Frame}. */
  readonly way?: Frame["way"];
}

/** What is said of a place that no name is known of. */
const NAMELESS: Name = { function: "", file: "", line: 0, inlined: false };

/** The kernel's frame of a signal handler, as gdb calls it. Its address lies in a function that only returns. */
const SIGNAL: Name = { function: "<signal handler called>", file: "", line: 0, inlined: false };

/** Names by hexadecimal address, for one build id. */
type CacheFile = Record<string, readonly (readonly [string, string, number])[]>;

/** Addresses that go to the symboliser between two progress calls. */
const CHUNK = 1024;
/** A cache file is started anew when it holds more. */
const CACHE_LIMIT = 200_000;

/**
 * Looks names up and keeps them.
 *
 * @example
 * ```ts
 * import { Recording, Symbols } from "./mod.ts";
 *
 * const profile = Recording.open("sort.heaptap").profile();
 * const [largest] = profile.callPaths;
 * if (largest) {
 *   using symbols = new Symbols(profile);
 *   await symbols.resolve([largest]);
 *   console.log(symbols.stack(largest).map((frame) => frame.function).join(" < "), symbols.problem);
 * }
 * ```
 */
export class Symbols {
  readonly #profile: Profile;
  readonly #names = new Map<Frame, readonly Name[]>();
  readonly #named = new Map<Frame, readonly NamedFrame[]>();
  readonly #options: SymbolOptions;
  #backend: Backend | undefined;
  #perfMap: ReturnType<typeof findPerfMap> | null = null;
  #carried: ReturnType<typeof carriedNames> | null = null;
  /** What went wrong, in words for the user; "" when nothing did. */
  problem = "";

  /** Names for the frames of `profile`; nothing is looked up yet. */
  constructor(profile: Profile, options: SymbolOptions = {}) {
    this.#profile = profile;
    this.#options = options;
  }

  /** Looks up every frame of these call paths that is not known yet. */
  async resolve(paths: Iterable<CallPath>, progress?: Progress): Promise<void> {
    const wanted = new Map<number, Set<Frame>>();
    if (this.#carried === null) this.#carried = carriedNames(this.#profile);
    let total = 0;
    const interrupted = new Set<Frame>();
    for (const path of paths) {
      for (const [i, frame] of path.stack.entries()) {
        if (this.#names.has(frame)) continue;
        if (frame.way === "signal") {
          this.#names.set(frame, [SIGNAL]);
          continue;
        }
        const carried = this.#carried?.(frame);
        if (carried) {
          this.#names.set(frame, carried);
          continue;
        }
        let frames = wanted.get(frame.module);
        if (!frames) wanted.set(frame.module, frames = new Set());
        if (!frames.has(frame)) total++;
        frames.add(frame);
        if (path.stack[i - 1]?.way === "signal") interrupted.add(frame);
      }
    }
    let done = 0;
    for (const [module, frames] of wanted) {
      const step = (count: number) => progress?.(done += count, total);
      const known = this.#profile.modules[module];
      if (known) await this.#resolveModule(known, this.#resolvePlt(known, [...frames], interrupted, step), step);
      else this.#within(() => this.#resolveJit([...frames], step));
    }
  }

  #resolveJit(frames: readonly Frame[], step: (count: number) => void): void {
    const { pid, startTime } = this.#profile.process;
    // This process may have run, and written its map, long before it was recorded.
    const since = this.#profile.path ? startTime : Date.now() - process.uptime() * 1000;
    if (this.#perfMap === null) this.#perfMap = findPerfMap(pid, since);
    for (const frame of frames) this.#names.set(frame, this.#perfMap?.lookup(frame.address - 1) ?? []);
    if (!this.#perfMap && /\/deno$/.test(this.#profile.process.executable)) {
      this.problem ||=
        "JavaScript functions are shown as addresses: start Deno with --v8-flags=--perf-basic-prof,--interpreted-frames-native-stack to see their names";
    }
    step(frames.length);
  }

  /** Names those frames that were interrupted in a PLT entry; returns the others. */
  #resolvePlt(
    module: Module,
    frames: readonly Frame[],
    interrupted: ReadonlySet<Frame>,
    step: (count: number) => void,
  ): readonly Frame[] {
    const named = this.#within(() => pltNames(module, frames.filter((frame) => interrupted.has(frame))));
    for (const [frame, names] of named) this.#names.set(frame, names);
    if (named.size > 0) step(named.size);
    return named.size > 0 ? frames.filter((frame) => !named.has(frame)) : frames;
  }

  async #resolveModule(module: Module, frames: readonly Frame[], step: (count: number) => void): Promise<void> {
    const { source, problem } = this.#within(() => this.#nameSource(module));
    // A file that is found later may know more of the same build: what each kind said is kept apart.
    const kinds = source ? [source.has] : ["exports", "symtab", "debug"];
    const files = this.#options.cache === false || !module.buildId
      ? []
      : kinds.map((kind) => namesFile(`${module.buildId}.${kind}`));
    const cache: CacheFile = this.#within(() => Object.assign({}, ...files.map(readCache)));
    const missing = this.#within(() => frames.filter((frame) => !this.#take(frame, cache)));
    step(frames.length - missing.length);
    if (missing.length === 0) return;
    this.problem ||= problem;
    for (let i = 0; i < missing.length; i += CHUNK) {
      const chunk = missing.slice(i, i + CHUNK);
      const names = source ? await this.#ask(source.path, chunk.map((f) => f.address - 1)) : [];
      chunk.forEach((frame, j) => {
        const found = names[j] ?? [];
        this.#names.set(frame, found);
        if (source) cache[frame.address.toString(16)] = found.map((n) => [n.function, n.file, n.line] as const);
      });
      step(chunk.length);
    }
    // Names from the symbol tables alone are quick, and a symboliser installed later knows more.
    if (source && !(this.#backend instanceof SymbolTables)) this.#within(() => writeCache(files[0] ?? "", cache));
  }

  #within<T>(part: () => T): T {
    return this.#options.within ? this.#options.within(part) : part();
  }

  /** Takes a frame's names from a cache; false when it does not have them. */
  #take(frame: Frame, cache: CacheFile): boolean {
    const names = cache[frame.address.toString(16)];
    if (!names) return false;
    this.#names.set(
      frame,
      names.map(([fn, file, line], i) => ({ function: fn, file, line, inlined: i < names.length - 1 })),
    );
    return true;
  }

  /** The file that knows the module's names; when there is none of that build, why, in words for the user. */
  #nameSource(module: Module): { readonly source: NameSource | undefined; readonly problem: string } {
    const addresses = "its functions are shown as addresses";
    try {
      const source = findNames(module, this.#options.debugFolders ?? []);
      return { source, problem: source ? "" : `"${module.path}" has changed since the recording: ${addresses}` };
    } catch (error) {
      const missing = missingPermission(error);
      const problem = missing
        ? `Functions of "${module.path}" are shown as addresses: ${missing}`
        : module.path.startsWith("/")
        ? `"${module.path}" is not on this machine: ${addresses}`
        : ""; // the kernel's own, which is no file
      return { source: undefined, problem };
    }
  }

  async #ask(file: string, addresses: readonly number[]): Promise<Name[][]> {
    try {
      this.#backend ??= openBackend(this.#options.symboliser);
      return await this.#backend.lookup(file, addresses);
    } catch (error) {
      const why = missingPermission(error) ?? (error as Error).message;
      this.problem ||= `${
        this.#backend?.name ?? "The symboliser"
      } failed (${why}): names come from symbol tables, without lines`;
      this.#backend?.close();
      this.#backend = new SymbolTables();
      return await this.#backend.lookup(file, addresses);
    }
  }

  /** The named frames of a call path, innermost first, inlined ones included. */
  stack(path: CallPath): NamedFrame[] {
    return path.stack.flatMap((frame) => this.frames(frame));
  }

  /** What stands at a place in code, innermost first: a function, and those that it is inlined in. One without a name when it is unknown. */
  frames(frame: Frame): readonly NamedFrame[] {
    const known = this.#named.get(frame);
    if (known) return known;
    const names = this.#names.get(frame);
    const module = this.#profile.modules[frame.module]?.path ?? "";
    const named = (names?.length ? names : [NAMELESS]).map((name): NamedFrame => {
      const { name: readable, key } = readableName(name.function);
      const way = frame.way && { way: frame.way };
      const frameOf = { ...name, function: readable, key, module, address: frame.address, ...way };
      return { ...frameOf, kind: kindOf(frameOf) };
    });
    // What has not been looked up yet may be later.
    if (names) this.#named.set(frame, named);
    return named;
  }

  /** The same as the symboliser said it; empty when it is unknown. */
  names(frame: Frame): readonly Name[] {
    return this.#names.get(frame) ?? [];
  }

  /** Ends the symboliser's process. */
  [Symbol.dispose](): void {
    this.#backend?.close();
    this.#backend = undefined;
  }
}

/** The file of cached names for a build id; "" when it cannot even be told where that is. */
function namesFile(buildId: string): string {
  try {
    return join(cacheFolder(), "names", `${buildId}.json`);
  } catch {
    return ""; // Deno without --allow-env
  }
}

function readCache(path: string): CacheFile {
  if (!path) return {};
  try {
    const read: unknown = JSON.parse(readFileSync(path, "utf8"));
    return Object.keys(read as object).length > CACHE_LIMIT ? {} : read as CacheFile;
  } catch {
    return {}; // none yet, or unreadable: names are looked up again
  }
}

function writeCache(path: string, cache: CacheFile): void {
  if (!path) return;
  try {
    mkdirSync(join(path, ".."), { recursive: true, mode: 0o700 });
    writeWhole(path, (fd) => writeFileSync(fd, JSON.stringify(cache)), 0o600);
  } catch {
    // A cache that cannot be written costs the next report some time, nothing else.
  }
}

/** A path, or its last part alone. */
export function shortPath(path: string, whole: boolean): string {
  return whole ? path : path.replace(/^.*\//, "");
}

/** Where a frame is in the source, `file.c:12`; "" when that is not known. */
export function sourcePlace({ file, line }: Pick<NamedFrame, "file" | "line">, whole = false): string {
  return file && `${shortPath(file, whole)}${line > 0 ? `:${line}` : ""}`;
}

/** Whether a pattern matches a frame's function, its module's path or its source file. */
export function frameMatches(frame: NamedFrame, pattern: RegExp): boolean {
  return matches(pattern, frameName(frame)) || matches(pattern, frame.module) ||
    (frame.file !== "" && matches(pattern, frame.file));
}

/** A function's name, or where it is when it has none: `libz.so.1+0x2f40`. */
export function frameName(frame: Pick<NamedFrame, "function" | "module" | "address"> | undefined): string {
  if (!frame) return "(unknown)";
  if (frame.function) return frame.function;
  const module = frame.module ? frame.module.replace(/^.*\//, "") : "JIT code";
  return `${module}+0x${frame.address.toString(16)}`;
}
