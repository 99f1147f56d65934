/** Call paths that pass through code of one's own choice: of a library, of a function. */
import { readFileSync } from "node:fs";
import { mayTouch } from "../native/ffi.ts";
import { finish } from "../profile/finish.ts";
import type { Moment, Reading } from "../profile/read.ts";
import { matches } from "../profile/select.ts";
import { PathTotals } from "../profile/figures.ts";
import { frameName } from "../symbols/named_frame.ts";
import { own, ownMoment, ownReading } from "./install.ts";
import { checkPattern } from "./options.ts";
import { nameFrames } from "./own_names.ts";
import { stopsOf } from "./rows.ts";
import { inBatches, inSlices } from "./slices.ts";
import type { Figures } from "./meter.ts";

/** Which code allocations are to pass through: one of the frames on their stack. */
export interface Through {
  /** Libraries, or the program, by their paths: `/libsqlite3/`. What they allocate is told exactly on every runtime, without what a foreign call itself allocates. */
  readonly modules?: RegExp | undefined;
  /** Functions, by their names. */
  readonly functions?: RegExp | undefined;
}

/** Those of call paths that pass through a place. */
function* passing(
  { nodes }: Reading,
  ids: Uint32Array,
  isThere: (place: number) => boolean,
): Generator<undefined, Uint32Array> {
  // By place 1 when it is one, 2 when not; by node whether it or a caller is at one. Callers have smaller numbers.
  const asked = new Uint8Array(nodes.length + nodes.placeCount);
  const inside = new Uint8Array(nodes.length);
  yield* inBatches(nodes.length, (from, to) => {
    for (let node = from; node < to; node++) {
      if (!nodes.isFrame(node)) continue;
      const place = nodes.place(node);
      asked[place] ||= isThere(place) ? 1 : 2;
      inside[node] = asked[place] === 1 ? 1 : inside[nodes.parent(node)] as number;
    }
  });
  return ids.filter((id) => inside[nodes.leaf(id)] === 1);
}

/** Those of call paths that pass through modules. */
export function* throughModules(
  reading: Reading,
  ids: Uint32Array,
  modules: RegExp | undefined,
): Generator<undefined, Uint32Array> {
  if (!modules) return ids;
  const wanted = reading.profile.modules.map(({ path }) => matches(modules, path));
  return yield* passing(reading, ids, (place) => wanted[reading.nodes.frameAt(place).module] ?? false);
}

/** Those of call paths that pass through functions. */
export async function throughFunctions(
  reading: Reading,
  ids: Uint32Array,
  functions: RegExp | undefined,
): Promise<Uint32Array> {
  if (!functions) return ids;
  const stops = await inSlices(stopsOf(reading, ids));
  const symbols = await nameFrames(reading, stops);
  const isThere = (place: number) =>
    symbols.frames(reading.nodes.frameAt(place)).some((frame) => matches(functions, frameName(frame)));
  return await inSlices(passing(reading, ids, isThere));
}

/** What call paths come to. What was in use at most is known of the process and of its threads alone. */
export function figuresOf(reading: Reading, ids: Uint32Array): Figures {
  const sum = new PathTotals();
  for (const id of ids) if (reading.sums) sum.add(reading.sums.figures(id));
  const { allocations, bytes, frees, freedBytes, liveBytes, liveCount, temporary, reallocations } = sum;
  return { allocations, bytes, frees, freedBytes, liveBytes, liveCount, temporary, reallocations, peakBytes: NaN };
}

/** Throws when no loaded object is of these modules: a limit of theirs would hold whatever happens. */
export function checkModules(modules: RegExp | undefined): void {
  if (!modules || !mayTouch("/proc/self/maps", "/proc/self/clear_refs")) return;
  let maps;
  try {
    maps = readFileSync("/proc/self/maps", "utf8");
  } catch {
    return;
  }
  const loaded = new Set([...maps.matchAll(/ (\/.*)$/gm)].map(([, path = ""]) => path));
  if ([...loaded].some((path) => matches(modules, path))) return;
  throw new TypeError(`Cannot count what passes through ${modules}: no library of that name is loaded`);
}

/** Figures of modules, of the calling thread or of the process, between two moments. Each is some milliseconds of work where there are many call paths. */
export class ModuleMeter {
  readonly #modules: RegExp;
  readonly #thread: boolean;
  readonly #before: Moment;

  /** Begins. */
  constructor(modules: RegExp, thread: boolean) {
    checkPattern("modules", modules);
    this.#modules = modules;
    this.#thread = thread;
    this.#before = ownMoment(thread);
  }

  /** The same, at the end. */
  stop(): Figures {
    return this.read();
  }

  /** What came since. */
  read(): Figures {
    return own(() => {
      using reading = finish(ownReading({ thread: this.#thread, since: this.#before }));
      return figuresOf(reading, finish(throughModules(reading, reading.used, this.#modules)));
    });
  }
}
