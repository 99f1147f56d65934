/**
 * Names for the frames of a profile. They are looked up when a report wants them, only for the frames
 * that it shows, and kept by build id in the user's cache folder, so that the next report is quick.
 */
import { statSync } from "node:fs";
import process from "node:process";
import { missingPermission } from "../native/build.ts";
import { bytes, share } from "../profile/format.ts";
import type { CallPath, Frame, Module, Profile } from "../profile/profile.ts";
import { VIEWS } from "../profile/views.ts";
import type { ViewName } from "../profile/views.ts";
import { findTools } from "./backend.ts";
import type { Name, Tool } from "./backend.ts";
import { carriedNames } from "./carried.ts";
import { lacking } from "./coverage.ts";
import type { Coverage } from "./coverage.ts";
import { DebugFiles } from "./debug_files.ts";
import type { NameSource, NoSource } from "./debug_files.ts";
import { Debuginfod, debuginfodUrls } from "./debuginfod.ts";
import { debugCompression } from "./elf.ts";
import { readyToDemangle } from "./demangler.ts";
import { isPool, Kinds } from "./kinds.ts";
import type { KindOptions } from "./kinds.ts";
import { readableName } from "./names.ts";
import { Lookup } from "./lookup.ts";
import { NameCache } from "./name_cache.ts";
import { shortPath } from "./named_frame.ts";
import type { NamedFrame } from "./named_frame.ts";
import { findPerfMap } from "./perfmap.ts";
import { PrivateFolder } from "./private_folder.ts";
import { pltNames } from "./plt.ts";
import { debugPackages, remedy, whyNameless } from "./remedies.ts";
import type { Means, ModuleState } from "./remedies.ts";
import { hasInterpreter, interpreterRemedy, jitRemedy } from "./runtimes.ts";
import { splitDebug } from "./split_debug.ts";
import { sourcesOf } from "./transpiled.ts";
import type { SourceOf } from "./transpiled.ts";

/** Called as look-ups go on: addresses done and wanted, and what takes long where that is something else. */
export type Progress = (done: number, total: number, doing?: string) => void;

/** Options of {@linkcode Symbols}. */
export interface SymbolOptions extends KindOptions {
  /** Name of the one tool to use; when left out the best that is there, and others where it does not know. */
  readonly symboliser?: string | undefined;
  /** Folders to search for debug files, by build id and by name, before the system's `/usr/lib/debug`. */
  readonly debugFolders?: readonly string[] | undefined;
  /** Whether to read and write the name cache; true when left out. */
  readonly cache?: boolean | undefined;
  /** Whether to ask the servers of `DEBUGINFOD_URLS` for debug files; true when left out, but for a script's own process. */
  readonly debuginfod?: boolean | undefined;
  /** Whether to ask other tools about what the best one did not know of a file; true when left out. Some take a minute for a large file. */
  readonly thorough?: boolean | undefined;
  /** Runs the parts of the work that do not wait; to measure them, or to leave them out of a measurement. */
  readonly within?: (<T>(part: () => T) => T) | undefined;
}

/** What is said of a place that no name is known of. */
const NAMELESS: Name = { function: "", file: "", line: 0, inlined: false };

/** The kernel's frame of a signal handler, as gdb calls it. Its address lies in a function that only returns. */
const SIGNAL: Name = { function: "<signal handler called>", file: "", line: 0, inlined: false };

/** Addresses that go to the symboliser between two progress calls. */
const CHUNK = 1024;
/** Debug files that are fetched at a time. */
const FETCHES = 4;
/** Shares of a report below which nobody looks for what is missing: names, lines. */
const [FEW_NAMES, FEW_LINES] = [0.005, 0.05];
/** Modules that a report has a line for, those without names and those without lines. */
const MOST_REMARKS = 3;

/** What was found out about a module. */
interface Found {
  readonly state: ModuleState;
  readonly source: NameSource | undefined;
}

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
 *   console.log(symbols.stack(largest).map((frame) => frame.function).join(" ← "), symbols.problem);
 * }
 * ```
 */
export class Symbols {
  #profile: Profile;
  readonly #names = new Map<Frame, readonly Name[]>();
  readonly #named = new Map<Frame, readonly NamedFrame[]>();
  readonly #options: SymbolOptions;
  readonly #kinds: Kinds;
  readonly #private = new PrivateFolder();
  readonly #files: DebugFiles;
  readonly #found = new Map<number, Found>();
  readonly #packages = new Map<string, string>();
  /** Modules with frames that no name was found of, -1 for code of none. */
  readonly #nameless = new Set<number>();
  #lookup: Lookup | undefined;
  #servers: Debuginfod | undefined;
  #trouble = "";
  readonly #caches = new Map<
    number,
    { readonly source: NameSource | undefined; readonly lookup: Lookup; readonly cache: NameCache }
  >();
  #perfMap: ReturnType<typeof findPerfMap> | null = null;
  readonly #sourceOf: SourceOf;
  #carried: ReturnType<typeof carriedNames> | null = null;

  /** Names for the frames of `profile`; nothing is looked up yet. */
  constructor(profile: Profile, options: SymbolOptions = {}) {
    this.#profile = profile;
    this.#options = options;
    this.#kinds = new Kinds(profile, options);
    const { executable, startTime, root } = profile.process;
    this.#sourceOf = sourcesOf(/\/deno$/.test(executable));
    // In this very process a file may have been made, and loaded, after the recording began.
    const since = profile.path ? startTime : undefined;
    this.#files = new DebugFiles({ executable, since, root }, options.debugFolders ?? [], this.#private);
  }

  /** What went wrong, in words for the user; "" when nothing did. */
  get problem(): string {
    return this.#problems()[0] ?? "";
  }

  /** The same as far as it concerns these stacks: what would name code of no object matters where one has some without a name. */
  problemOf(stacks: readonly (readonly NamedFrame[])[]): string {
    const hasNameless = stacks.some((stack) => stack.some((frame) => frame.module === "" && frame.function === ""));
    return this.#problems(hasNameless)[0] ?? "";
  }

  #problems(withJit = true): string[] {
    const modules = [...this.#found].filter(([module]) => this.#nameless.has(module))
      .map(([, { state }]) => whyNameless(state));
    const jit = withJit && this.#nameless.has(-1) ? this.#jitRemedy() : "";
    return [this.#trouble, ...this.#lookup?.problems ?? [], ...this.#servers?.problems ?? [], ...modules, jit]
      .filter((problem) => problem !== "");
  }

  /** Looks up every frame of these call paths that is not known yet. */
  async resolve(paths: Iterable<CallPath>, progress?: Progress): Promise<void> {
    const [frames, interrupted] = [new Set<Frame>(), new Set<Frame>()];
    for (const { stack } of paths) {
      for (const [i, frame] of stack.entries()) {
        if (this.#names.has(frame)) continue;
        frames.add(frame);
        if (stack[i - 1]?.way === "signal") interrupted.add(frame);
      }
    }
    await this.resolveFrames(frames, interrupted, progress);
  }

  /** Looks up those of these frames that are not known yet; `interrupted` are those that a signal handler stands on. */
  async resolveFrames(frames: Iterable<Frame>, interrupted: ReadonlySet<Frame>, progress?: Progress): Promise<void> {
    const wanted = new Map<number, Set<Frame>>();
    if (this.#carried === null) this.#carried = carriedNames(this.#profile);
    let total = 0;
    for (const frame of frames) {
      if (this.#names.has(frame)) continue;
      if (frame.way === "signal") {
        this.#names.set(frame, [SIGNAL]);
        continue;
      }
      const module = this.#profile.modules[frame.module]?.path ?? "";
      if (isPool(module)) {
        this.#names.set(frame, [{ ...NAMELESS, function: module }]);
        continue;
      }
      const carried = this.#carried?.(frame);
      if (carried) {
        this.#names.set(frame, carried);
        continue;
      }
      let known = wanted.get(frame.module);
      if (!known) wanted.set(frame.module, known = new Set());
      if (!known.has(frame)) total++;
      known.add(frame);
    }
    let done = 0;
    if (total > 0) await readyToDemangle((part) => this.#within(part));
    await this.#fetch(wanted.keys(), (doing) => progress?.(done, total, doing));
    for (const [module, frames] of wanted) {
      const step = (count: number) => progress?.(done += count, total);
      const known = this.#profile.modules[module];
      if (known) await this.#resolveModule(module, this.#resolvePlt(known, [...frames], interrupted, step), step);
      else this.#within(() => this.#resolveJit([...frames], step));
    }
  }

  #within<T>(part: () => T): T {
    return this.#options.within ? this.#options.within(part) : part();
  }

  #put(frame: Frame, names: readonly Name[]): void {
    this.#names.set(frame, names);
    if (names.length === 0) this.#nameless.add(frame.module);
  }

  /** What gives names to code of no file; "" where its compiler wrote some: then it does not know the rest. */
  #jitRemedy(): string {
    return this.#perfMap ? "" : jitRemedy(this.#profile);
  }

  /** What would show the functions that an interpreter ran, where none of them is shown. */
  #interpreterRemedy(paths: readonly CallPath[]): string {
    if (!hasInterpreter(this.#profile)) return "";
    const names = new Set<string>();
    for (const path of paths) {
      for (const frame of path.stack) {
        for (const { function: name, kind, file } of this.#known(frame) ?? []) {
          if ((kind === "script" && name !== "") || /\.pyx?$/.test(file)) return "";
          names.add(name);
        }
      }
    }
    return interpreterRemedy(this.#profile, names);
  }

  #resolveJit(frames: readonly Frame[], step: (count: number) => void): void {
    const { pid, startTime } = this.#profile.process;
    // This process may have run, and written its map, long before it was recorded.
    const since = this.#profile.path ? startTime : Date.now() - process.uptime() * 1000;
    if (this.#perfMap === null) this.#perfMap = findPerfMap(pid, since);
    for (const frame of frames) {
      this.#put(frame, this.#perfMap?.lookup(frame.address - 1, frame.age, this.#sourceOf) ?? []);
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
    for (const [frame, names] of named) this.#put(frame, names);
    if (named.size > 0) step(named.size);
    return named.size > 0 ? frames.filter((frame) => !named.has(frame)) : frames;
  }

  /** Finds out where the names of modules are, and fetches debug files of those that have none here. */
  async #fetch(modules: Iterable<number>, tell: (doing: string) => void): Promise<void> {
    const lacking = [...modules].filter((module) => {
      const { source, state } = this.#locate(module) ?? {};
      return state?.buildId && source?.has !== "debug" && state.has !== "no file";
    });
    if (lacking.length === 0 || this.#debuginfod !== "asked") return;
    const servers = this.#servers ??= new Debuginfod();
    let next = 0;
    const fetchAll = async () => {
      for (let module; (module = lacking[next++]) !== undefined;) {
        const of = this.#profile.modules[module] as Module;
        const name = shortPath(of.path, false);
        tell(`asking for debug information of ${name}`);
        const path = await servers.find(
          of.buildId,
          (got) => tell(`fetching debug information of ${name}: ${bytes(got)}`),
        );
        const source = path && this.#files.fetched(of, path, this.#found.get(module)?.source?.own);
        if (source) this.#found.set(module, { source, state: stateOf(of, source) });
      }
    };
    await Promise.all(Array.from({ length: FETCHES }, fetchAll));
  }

  get #debuginfod(): Means["debuginfod"] {
    const isWanted = this.#options.debuginfod ?? this.#profile.path !== "";
    return !isWanted ? "refused" : debuginfodUrls().length > 0 ? "asked" : "unset";
  }

  /** The file that knows a module's names, or why there is none. */
  #locate(module: number): Found | undefined {
    const of = this.#profile.modules[module];
    let found = this.#found.get(module);
    if (found || !of) return found;
    const source = this.#within(() => this.#files.find(of));
    const state = stateOf(of, source);
    this.#found.set(module, found = { state, source: isSource(source) ? source : undefined });
    return found;
  }

  async #resolveModule(module: number, frames: readonly Frame[], step: (count: number) => void): Promise<void> {
    const { source, state } = this.#locate(module) as Found;
    const lookup = this.#open();
    const cache = this.#within(() => this.#cacheOf(module, state, source, lookup));
    const missing = this.#within(() =>
      frames.filter((frame) => {
        const names = cache?.get(frame.address);
        if (names) this.#put(frame, names);
        return !names;
      })
    );
    step(frames.length - missing.length);
    if (source && missing.length > 0) this.#within(() => lookup.table(source));
    for (let i = 0; i < missing.length; i += CHUNK) {
      const chunk = missing.slice(i, i + CHUNK);
      const names = source ? await lookup.names(source, chunk.map((f) => f.address - 1)) : [];
      chunk.forEach((frame, j) => {
        const found = names[j] ?? [];
        this.#put(frame, found);
        cache?.set(frame.address, found);
      });
      step(chunk.length);
    }
    // What is known while a tool fails, or while pieces are missing, may be less than what there is to know.
    if (cache && source && missing.length > 0 && !lookup.failedAt(source)) this.#within(() => cache.write());
  }

  /** The tools, started when they are asked. */
  #open(): Lookup {
    if (this.#lookup) return this.#lookup;
    let tools: Tool[] = [];
    try {
      tools = findTools(this.#options.symboliser);
      if (tools.length === 0 && this.#options.symboliser !== undefined) {
        this.#trouble = `${this.#options.symboliser} is not installed: names come from symbol tables, without lines`;
      }
    } catch (error) {
      this.#trouble = `Names come from symbol tables, without lines: ${
        missingPermission(error) ?? (error as Error).message
      }`;
    }
    return this.#lookup = new Lookup(tools, this.#options.thorough ?? true);
  }

  /** The names of a module that are kept: a script's process asks again and again. */
  #cacheOf(
    module: number,
    state: ModuleState,
    source: NameSource | undefined,
    lookup: Lookup,
  ): NameCache | undefined {
    if (this.#options.cache === false || (!source && !state.buildId)) return undefined;
    if (source?.has === "debug" && splitDebug(source.elf) === "pieces") return undefined;
    let known = this.#caches.get(module);
    if (known?.source !== source || known?.lookup !== lookup) {
      const cache = new NameCache({
        module: state.buildId || state.path,
        source: source && identityOf(source),
        tools: lookup.identity,
        orOthers: this.#options.symboliser === undefined,
      });
      this.#caches.set(module, known = { source, lookup, cache });
    }
    return known.cache;
  }

  /**
   * How much of these call paths, whose names must have been resolved, has no names or no lines, by module, and what to
   * do about it: what lacks most comes first. Shares are of the figure of `view`.
   *
   * @example
   * ```ts
   * import { Recording, Symbols } from "./mod.ts";
   *
   * const profile = Recording.open("sort.heaptap").profile();
   * using symbols = new Symbols(profile);
   * await symbols.resolve(profile.callPaths);
   * for (const { module, withoutNames, remedy } of symbols.coverage(profile.callPaths)) {
   *   console.log(module, withoutNames, remedy); // /usr/lib/libfoo.so.1 0.12 install libfoo1-dbgsym
   * }
   * ```
   */
  coverage(paths: Iterable<CallPath>, view: ViewName = "allocated"): Coverage[] {
    const shares = lacking(paths, (frame) => this.#known(frame), VIEWS[view].of);
    const notable = [...shares].filter(([, s]) => s.withoutNames >= FEW_NAMES || s.withoutLines >= FEW_LINES);
    const states = new Map([...this.#found.values()].map(({ state }) => [state.path, state]));
    const unknown = notable.map(([module]) => states.get(module)).filter((state) =>
      (state?.has === "symtab" || state?.has === "exports") && !this.#packages.has(state.path)
    ).map((state) => state?.path ?? "");
    for (const [path, how] of this.#within(() => debugPackages(unknown))) this.#packages.set(path, how);
    const means = { tools: this.#lookup?.commands ?? [], debuginfod: this.#debuginfod };
    return notable.map(([module, { withoutNames, withoutLines }]) => {
      const state = states.get(module);
      const how = module === "" ? this.#jitRemedy() : state ? remedy(state, means, this.#packages) : "";
      return { module, withoutNames, withoutLines, remedy: how };
    }).sort((a, b) => b.withoutNames - a.withoutNames || b.withoutLines - a.withoutLines);
  }

  /** What stands at a place; undefined while it has not been looked up. */
  #known(frame: Frame): readonly NamedFrame[] | undefined {
    return this.#names.has(frame) ? this.frames(frame) : undefined;
  }

  /** What a report of these call paths says about names, a line each: what went wrong, what is missing, what to do. */
  remarks(paths: Iterable<CallPath>, view: ViewName = "allocated"): string[] {
    const shown = [...paths];
    const coverage = this.coverage(shown, view);
    const nameless = coverage.filter((c) => c.withoutNames >= FEW_NAMES && c.module !== "" && c.remedy !== "");
    const lineless = coverage.filter((c) => c.withoutNames < FEW_NAMES && c.remedy !== "");
    // Of those whose file is not there the problem says it all.
    const told = new Set([...this.#found.values()].filter(({ source }) => !source).map(({ state }) => state.path));
    const lines = [
      ...nameless.filter(({ module }) => !told.has(module)).slice(0, MOST_REMARKS).map((c) =>
        `${shortPath(c.module, false)} has functions without names, on stacks of ${
          share(c.withoutNames, 1)
        } of what is shown: ${c.remedy}`
      ),
      ...lineless.filter(({ module }) => !told.has(module)).slice(0, MOST_REMARKS).map((c) =>
        `${shortPath(c.module, false)} has no files and lines, in ${
          share(c.withoutLines, 1)
        } of what is shown: ${c.remedy}`
      ),
    ];
    const interpreter = this.#nameless.has(-1) ? "" : this.#interpreterRemedy(shown);
    return [...new Set([...this.#problems(), ...lines, interpreter])].filter((line) => line !== "");
  }

  /** The named frames of a call path, innermost first, inlined ones included. */
  stack(path: CallPath): NamedFrame[] {
    const stack: NamedFrame[] = [];
    for (const place of path.stack) {
      for (const frame of this.frames(place)) stack.push(frame);
    }
    return stack;
  }

  /** What stands at a place in code, innermost first: a function, and those that it is inlined in. One without a name when it is unknown. */
  frames(frame: Frame): readonly NamedFrame[] {
    const known = this.#named.get(frame);
    if (known) return known;
    const names = this.#names.get(frame);
    const module = this.#profile.modules[frame.module]?.path ?? "";
    const all = names?.length ? names : [NAMELESS];
    const named = all.map((name, i): NamedFrame => {
      // Of a lambda that was inlined the compiler tells its operator alone; those that it was inlined into name it.
      const lambda = /^operator\(\)(<.*>)?$/.test(name.function) ? lambdaIn(all.slice(i + 1)) : undefined;
      const { name: readable, key } = lambda ? { name: lambda, key: lambda } : readableName(name.function);
      const way = frame.way && { way: frame.way };
      const frameOf = { ...name, function: readable, key, module, address: frame.address, ...way };
      return { ...frameOf, kind: this.#kinds.of(frameOf, frame) };
    });
    // What has not been looked up yet may be later.
    if (names) this.#named.set(frame, named);
    return named;
  }

  /** The same as the symboliser said it; empty when it is unknown. */
  names(frame: Frame): readonly Name[] {
    return this.#names.get(frame) ?? [];
  }

  /**
   * Goes on with a later reading of the same recording, which may have more modules; its frames are the same objects. What had no name
   * and is in no file may have one by now.
   */
  follow(profile: Profile): void {
    this.#profile = profile;
    try {
      this.#perfMap?.update();
    } catch {
      // It went away: what is known stays.
    }
    if (!this.#perfMap) this.#perfMap = null;
    for (const [frame, names] of this.#names) {
      if (frame.module < 0 && names.length === 0) this.#forget(frame);
    }
    this.#nameless.delete(-1);
  }

  #forget(frame: Frame): void {
    this.#names.delete(frame);
    this.#named.delete(frame);
  }

  /** Ends the symbolisers' processes until a name is wanted again. */
  rest(): void {
    this.#lookup?.close();
  }

  /** Ends the symbolisers' processes; what is being looked up starts none any more. */
  [Symbol.dispose](): void {
    this.#lookup ??= new Lookup([], false);
    this.#lookup.end();
    this.#private[Symbol.dispose]();
  }
}

/** What the lambda is called that the templates around it were made for, where they were made for one alone. */
function lambdaIn(outer: readonly Name[]): string | undefined {
  for (const { function: name } of outer) {
    const found = new Set([...readableName(name).name.matchAll(/\{lambda in [^{}]+\}/g)].map(([lambda]) => lambda));
    if (found.size > 0) return found.size === 1 ? [...found][0] : undefined;
  }
  return undefined;
}

function isSource(found: NameSource | NoSource): found is NameSource {
  return typeof found === "object" && "elf" in found;
}

function stateOf({ path, buildId }: Module, found: NameSource | NoSource): ModuleState {
  return isSource(found)
    ? { path, buildId, has: found.has, compression: debugCompression(found.elf) }
    : { path, buildId, has: found };
}

/** What tells a file that knows names from another one, and from an earlier state of it. */
function identityOf({ path, has, elf }: NameSource): string {
  const stat = (file: string) => {
    const found = statSync(file, { throwIfNoEntry: false });
    return found ? [found.size, found.mtimeMs] : [];
  };
  return [path, has, elf.buildId, ...stat(elf.path), ...stat(`${elf.path}.dwp`)].join();
}
