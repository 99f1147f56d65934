/** Known leaks, in the format of LeakSanitizer's suppression files: `leak:PATTERN`, a line each. */
import { basename } from "node:path";
import type { CallPath, Profile } from "../profile/profile.ts";
import { isOwn } from "./kinds.ts";
import { KNOWN_LEAKS, STANDARD_LIBRARIES } from "./known_leaks.ts";
import { frameMatches } from "./named_frame.ts";
import type { NamedFrame } from "./named_frame.ts";
import type { Symbols } from "./symbols.ts";

/** A line of the file: what it says, and what it matches. */
export interface Suppression {
  /** The pattern as it is written. */
  readonly text: string;
  /** The same as a regular expression: `*` stands for anything, `^` and `$` for the ends. */
  readonly pattern: RegExp;
}

/**
 * Reads suppressions. Empty lines and comments (`#`) are left out, and so are lines for other sanitizers.
 *
 * @throws {SyntaxError} when a line is none; the message names it.
 *
 * @example
 * ```ts
 * import { parseSuppressions } from "./mod.ts";
 *
 * const [known] = parseSuppressions("# ours\nleak:^init_*cache$\n");
 * console.log(known?.pattern.test("init_font_cache")); // true
 * ```
 */
export function parseSuppressions(text: string): Suppression[] {
  return text.split("\n").flatMap((raw, i): Suppression[] => {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) return [];
    const [, kind, pattern] = /^([a-z_]+):(.+)$/.exec(line) ?? [];
    if (!kind || !pattern) throw new SyntaxError(`line ${i + 1} is no suppression: "${line}"; it takes leak:PATTERN`);
    if (kind !== "leak") return [];
    const anchored = pattern.replace(/^\^|\$$/g, "").replace(/[.+?()|[\]{}\\^$]/g, "\\$&").replace(/\*/g, ".*");
    const source = `${pattern.startsWith("^") ? "^" : ""}${anchored}${pattern.endsWith("$") ? "$" : ""}`;
    return [{ text: pattern, pattern: new RegExp(source) }];
  });
}

/**
 * The profile without what is live in call paths with a function, file or module that a suppression
 * matches; its live totals are less by that. Names of call paths with live blocks must have been resolved.
 *
 * @example
 * ```ts
 * import { parseSuppressions, Recording, suppressLeaks, Symbols } from "./mod.ts";
 *
 * const profile = Recording.open("sort.heaptap").profile();
 * using symbols = new Symbols(profile);
 * await symbols.resolve(profile.callPaths);
 * const { totals } = suppressLeaks(profile, symbols, parseSuppressions("leak:libc.so"));
 * console.log(totals.liveBytes <= profile.totals.liveBytes);
 * ```
 */
export function suppressLeaks(profile: Profile, symbols: Symbols, suppressions: readonly Suppression[]): Profile {
  if (suppressions.length === 0) return profile;
  let [bytes, blocks] = [0, 0];
  const known = (path: CallPath) =>
    symbols.stack(path).some((frame) => suppressions.some(({ pattern }) => frameMatches(frame, pattern)));
  const callPaths = profile.callPaths.map((path) => {
    if (path.liveCount <= 0 || !known(path)) return path;
    bytes += path.liveBytes;
    blocks += path.liveCount;
    const threads = path.threads?.map((share) => ({ ...share, liveBytes: 0, liveCount: 0 }));
    return { ...path, liveBytes: 0, liveCount: 0, threads };
  });
  const totals = {
    ...profile.totals,
    liveBytes: profile.totals.liveBytes - bytes,
    liveCount: profile.totals.liveCount - blocks,
  };
  return { ...profile, callPaths, totals };
}

/** What is live of call paths that libraries are known to keep. */
export interface SetAside {
  /** The call paths. */
  readonly paths: ReadonlySet<CallPath>;
  /** Bytes that they have live. */
  readonly bytes: number;
  /** Blocks that they have live. */
  readonly blocks: number;
  /** Whose they are, `libstdc++ and the C library`; "" when there are none. */
  readonly whose: string;
}

/** Nothing. */
export const NOTHING_ASIDE: SetAside = { paths: new Set(), bytes: 0, blocks: 0, whose: "" };

const judged = new WeakMap<object, string | null>();

/** Whose a function keeps what it allocates; undefined when it is not known to. */
function knownLeak(frame: Pick<NamedFrame, "function" | "module">): string | undefined {
  let whose = judged.get(frame);
  if (whose === undefined) {
    const file = basename(frame.module);
    const known = KNOWN_LEAKS.find((leak) => leak.function.test(frame.function) && (leak.module?.test(file) ?? true));
    judged.set(frame, whose = known?.whose ?? null);
  }
  return whose ?? undefined;
}

/**
 * Whose a stack's block is, where a library keeps it on its own account: a function of {@linkcode KNOWN_LEAKS} stands nearer to
 * the allocator than any code of the user's, or there is nothing but the standard libraries on a whole stack.
 */
export function keeper(
  stack: readonly Pick<NamedFrame, "function" | "module" | "kind">[],
): string | undefined {
  const outermost = stack.at(-1);
  const isWhole = outermost && (outermost.function === "_start" || /^ld-/.test(basename(outermost.module)));
  const first = stack.find(({ kind }) => kind !== "allocation");
  if (isWhole && first && stack.every(({ kind }) => kind === "standard" || kind === "allocation")) {
    return STANDARD_LIBRARIES.find(([module]) => module.test(basename(first.module)))?.[1];
  }
  const own = stack.findIndex(({ kind }) => isOwn(kind));
  return firstKnown(own < 0 ? stack : stack.slice(0, own));
}

function firstKnown(stack: readonly Pick<NamedFrame, "function" | "module">[]): string | undefined {
  for (const frame of stack) {
    const known = knownLeak(frame);
    if (known !== undefined) return known;
  }
  return undefined;
}

/** The same of a call path, most of which have the user's code near the allocator; with the name of a program that runs scripts. */
function keeperOf(path: CallPath, symbols: Symbols, runtime: string | undefined): string | undefined {
  const inner: NamedFrame[] = [];
  for (const place of path.stack) {
    for (const frame of symbols.frames(place)) {
      if (isOwn(frame.kind)) return firstKnown(inner);
      inner.push(frame);
    }
  }
  // Where a script's functions are seen, what none of them asked for is its interpreter's.
  return runtime !== undefined && inner.some(({ kind }) => kind === "runtime") ? runtime : keeper(inner);
}

/** Call paths in which nothing that is set aside is live. */
export function withoutKept(paths: readonly CallPath[], { paths: kept }: SetAside): readonly CallPath[] {
  return kept.size === 0 ? paths : paths.map((path) => kept.has(path) ? { ...path, liveBytes: 0, liveCount: 0 } : path);
}

/**
 * What of a profile is live and known to be kept by the libraries themselves, such as the pool that libstdc++ throws
 * exceptions from. Names of call paths with live blocks must have been resolved.
 *
 * @example
 * ```ts
 * import { knownLeaks, Recording, Symbols } from "./mod.ts";
 *
 * const profile = Recording.open("sort.heaptap").profile();
 * using symbols = new Symbols(profile);
 * await symbols.resolve(profile.callPaths);
 * console.log(knownLeaks(profile, symbols).bytes <= profile.totals.liveBytes);
 * ```
 */
export function knownLeaks(profile: Profile, symbols: Symbols): SetAside {
  const paths = new Set<CallPath>();
  const whose = new Map<string, number>();
  let [bytes, blocks] = [0, 0];
  // Code that was compiled at run time is in no module.
  const isScripted = profile.callPaths.some(({ stack }) =>
    stack.some((place) => place.module < 0 && symbols.frames(place).some(({ kind }) => kind === "script"))
  );
  const runtime = basename(profile.process.executable);
  for (const path of profile.callPaths) {
    if (path.liveCount <= 0) continue;
    const who = keeperOf(path, symbols, isScripted ? runtime : undefined);
    if (who === undefined) continue;
    paths.add(path);
    bytes += path.liveBytes;
    blocks += path.liveCount;
    whose.set(who, (whose.get(who) ?? 0) + path.liveBytes);
  }
  const names = [...whose].sort(([, a], [, b]) => b - a).map(([name]) => name);
  const last = names.pop() ?? "";
  return { paths, bytes, blocks, whose: names.length > 0 ? `${names.join(", ")} and ${last}` : last };
}
