/** Go's pprof format, gzipped: for `go tool pprof` and whatever else reads it. */
import { gzipSync } from "node:zlib";
import { commandLine } from "../profile/profile.ts";
import type { CallPath, Frame, PathCounters, Profile } from "../profile/profile.ts";
import type { ViewName } from "../profile/views.ts";
import { frameName } from "../symbols/named_frame.ts";
import { cleanStack } from "../symbols/lead.ts";
import type { Symbols } from "../symbols/symbols.ts";
import { Message } from "./protobuf.ts";
import { missingFrame } from "./stacks.ts";
import type { StackOptions } from "./stacks.ts";

/** Fields of the messages, by their numbers in pprof's profile.proto. */
const PROFILE = {
  ...{ sampleType: 1, sample: 2, mapping: 3, location: 4, function: 5, string: 6, time: 9, duration: 10 },
  ...{ periodType: 11, period: 12, comment: 13, defaultType: 14 },
} as const;

const TYPES: readonly [type: string, unit: string, of: (figures: PathCounters) => number][] = [
  ["alloc_objects", "count", (p) => p.allocations],
  ["alloc_space", "bytes", (p) => p.bytes],
  ["inuse_objects", "count", (p) => p.liveCount],
  ["inuse_space", "bytes", (p) => p.liveBytes],
  ["peak_space", "bytes", (p) => p.peakBytes],
];

/** The type that readers show first, by the view that is asked for. */
const FIRST: Readonly<Record<ViewName, string>> = {
  allocated: "alloc_space",
  live: "inuse_space",
  peak: "peak_space",
  temporary: "alloc_objects",
};

/** Numbers texts, functions and locations in the order in which they are first met. */
class Tables {
  readonly texts = [""];
  readonly functions: Message[] = [];
  readonly locations: Message[] = [];
  readonly #text = new Map<string, number>([["", 0]]);
  readonly #function = new Map<string, number>();
  readonly #frame = new Map<Frame | string, number>();

  text(value: string): number {
    let index = this.#text.get(value);
    if (index === undefined) {
      this.#text.set(value, index = this.texts.length);
      this.texts.push(value);
    }
    return index;
  }

  function(name: string, file: string): number {
    const key = `${name}\0${file}`;
    let id = this.#function.get(key);
    if (id === undefined) {
      this.#function.set(key, id = this.functions.length + 1);
      this.functions.push(
        new Message().number(1, id).number(2, this.text(name)).number(3, this.text(name)).number(4, this.text(file)),
      );
    }
    return id;
  }

  location(
    key: Frame | string,
    mapping: number,
    address: number,
    lines: readonly [fn: number, line: number][],
  ): number {
    let id = this.#frame.get(key);
    if (id === undefined) {
      this.#frame.set(key, id = this.locations.length + 1);
      const message = new Message().number(1, id).number(2, mapping).number(3, address);
      for (const [fn, line] of lines) message.bytes(4, new Message().number(1, fn).number(2, line).finish());
      this.locations.push(message);
    }
    return id;
  }
}

/** A sample to be: figures, and whose they are where that is known. */
interface Part {
  readonly figures: PathCounters;
  readonly thread?: number;
}

/**
 * What each thread allocated. What is in use, or was at the peak, is nobody's where threads free each other's blocks:
 * shares would be negative, which pprof takes for the difference of two profiles.
 */
function parts(path: CallPath): Part[] {
  const { threads = [] } = path;
  if (threads.length < 2) return [{ figures: path, ...threads[0] && { thread: threads[0].thread } }];
  const inUse = { liveBytes: 0, liveCount: 0, peakBytes: 0, peakCount: 0 };
  return [
    ...threads.filter((share) => share.allocations > 0)
      .map((share) => ({ figures: { ...share, ...inUse }, thread: share.thread })),
    ...path.liveCount !== 0 || path.peakCount !== 0 ? [{ figures: { ...path, allocations: 0, bytes: 0 } }] : [],
  ];
}

/**
 * The file's bytes: alloc_objects, alloc_space, inuse_objects, inuse_space and peak_space by call path, with
 * inlined functions and the loaded objects' build ids; labels tell operations of a script, and threads when the profile was read `byThread`.
 * `view` is what readers show first. Names must have been resolved.
 *
 * @example
 * ```ts
 * import { writeFileSync } from "node:fs";
 * import { pprofProfile, Recording, Symbols } from "./mod.ts";
 *
 * const profile = Recording.open("sort.heaptap").profile({ byThread: true });
 * using symbols = new Symbols(profile);
 * await symbols.resolve(profile.callPaths);
 * writeFileSync("sort.pb.gz", pprofProfile(profile, symbols)); // go tool pprof -top sort.pb.gz
 * ```
 */
export function pprofProfile(
  profile: Profile,
  symbols: Symbols,
  { raw, view = "live" }: StackOptions & { readonly view?: ViewName | undefined } = {},
): Uint8Array {
  const tables = new Tables();
  const out = new Message();
  for (const [type, unit] of TYPES) {
    out.bytes(PROFILE.sampleType, new Message().number(1, tables.text(type)).number(2, tables.text(unit)).finish());
  }
  const location = (frame: Frame): number => {
    const base = profile.modules[frame.module]?.base ?? 0;
    const lines = symbols.frames(frame).map((named): [number, number] => [
      tables.function(frameName(named), named.file),
      named.line,
    ]);
    // The call is before the address that it returns to.
    return tables.location(frame, frame.module + 1, base + frame.address - 1, lines);
  };
  const threads = new Map(profile.threads.map((thread) => [thread.id, thread]));
  const labels = (id: number) => {
    const { name = "", tid = 0 } = threads.get(id) ?? {};
    return [
      new Message().number(1, tables.text("thread")).number(2, tables.text(name)).finish(),
      new Message().number(1, tables.text("thread_id")).number(3, tid).finish(),
    ];
  };
  const known = new Map<Frame, { readonly passes: boolean; readonly outermost: string; readonly all: string }>();
  const placeOf = (frame: Frame) => {
    let place = known.get(frame);
    if (!place) {
      const named = symbols.frames(frame);
      const names = named.map(frameName);
      const passes = named.every(({ kind }) => kind === "allocation" || kind === "wrapper");
      known.set(frame, place = { passes, outermost: names.at(-1) ?? "", all: names.join("\0") });
    }
    return place;
  };
  for (const path of profile.callPaths) {
    // Places in code go whole or stay whole, with what is inlined there.
    const kept = raw ? path.stack : cleanStack(
      path.stack,
      (frame) => placeOf(frame).passes,
      (frame) => placeOf(frame).outermost,
      (a, b) => placeOf(a).all === placeOf(b).all,
    );
    const locations = kept.map(location);
    const missing = missingFrame(path);
    if (missing) locations.push(tables.location(missing.name, 0, 0, [[tables.function(missing.name, ""), 0]]));
    for (const { figures, thread } of parts(path)) {
      const sample = new Message().packed(1, locations).packed(2, TYPES.map(([, , of]) => of(figures)));
      if (thread !== undefined) {
        for (const label of labels(thread)) sample.bytes(3, label);
      }
      if (path.operation !== undefined) {
        sample.bytes(
          3,
          new Message().number(1, tables.text("operation")).number(2, tables.text(path.operation)).finish(),
        );
      }
      out.bytes(PROFILE.sample, sample.finish());
    }
  }
  // Readers take the first for the program.
  const program = profile.modules.findIndex(({ path }) => path === profile.process.executable);
  if (program < 0) {
    const message = new Message().number(1, profile.modules.length + 1).number(
      5,
      tables.text(profile.process.executable),
    );
    for (const has of [7, 8, 9, 10]) message.number(has, 1);
    out.bytes(PROFILE.mapping, message.finish());
  }
  const ordered = [...profile.modules.entries()].sort(([a], [b]) => Number(b === program) - Number(a === program));
  ordered.forEach(([i, module]) => {
    const start = module.base + module.textStart;
    const message = new Message().number(1, i + 1).number(2, start).number(3, start + module.textSize)
      .number(4, module.textOffset).number(5, tables.text(module.path)).number(6, tables.text(module.buildId));
    // Functions, files, lines and inlined frames are all there is to know: nothing is left for pprof to look up.
    for (const has of [7, 8, 9, 10]) message.number(has, 1);
    out.bytes(PROFILE.mapping, message.finish());
  });
  for (const message of tables.locations) out.bytes(PROFILE.location, message.finish());
  for (const message of tables.functions) out.bytes(PROFILE.function, message.finish());
  const { process, limits } = profile;
  const comments = [
    `heaptap: ${commandLine(process)}`,
    `pid ${process.pid}, allocator ${process.allocator}, ${limits.buckets} buckets, depth ${limits.depth}`,
  ];
  if (limits.interval > 0) comments.push(`sampled every ${limits.interval} bytes; values are estimates of all blocks`);
  const comment = comments.map((text) => tables.text(text));
  const standard = tables.text(FIRST[view]);
  const [space, unit] = [tables.text("space"), tables.text("bytes")];
  for (const text of tables.texts) out.bytes(PROFILE.string, text);
  out.number(PROFILE.time, Math.round(process.startTime) * 1e6);
  out.number(PROFILE.duration, Math.round((process.exit?.seconds ?? 0) * 1e9));
  if (limits.interval > 0) {
    out.bytes(PROFILE.periodType, new Message().number(1, space).number(2, unit).finish());
    out.number(PROFILE.period, limits.interval);
  }
  out.packed(PROFILE.comment, comment).number(PROFILE.defaultType, standard);
  return gzipSync(out.finish());
}
