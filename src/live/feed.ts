/** What pages of a recording that is served are told: all that there is at first, then what changes from look to look. */
import { FIGURES, lifetimesOf, mappedOf, memoryOf, pageData, sizesOf, threadsOf, totalsOf } from "../export/html.ts";
import type { PageStacks } from "../export/html.ts";
import type { LookData, MappedData, PageData } from "../export/page/data.ts";
import { pageFile } from "../export/page_file.ts";
import { StackTable } from "../export/stack_table.ts";
import { outwardIn } from "../export/stacks.ts";
import type { Look } from "../profile/looks.ts";
import type { TimelineMark } from "../profile/marks.ts";
import { asCallPath } from "../profile/memory.ts";
import type { MappedPath } from "../profile/memory.ts";
import type { CallPath, Profile } from "../profile/profile.ts";
import { knownLeaks } from "../symbols/suppressions.ts";
import { Symbols } from "../symbols/symbols.ts";
import type { SymbolOptions } from "../symbols/symbols.ts";

/** The parts of a page that only grow, in an order. */
function growing(added: PageStacks): readonly (readonly unknown[])[] {
  const { modules, files, kinds, functions, places, nodes, ends } = added;
  return [modules, files, kinds, functions.name, places.fn, nodes.place, ends];
}

/** What comes behind so many of each. */
function behind(all: PageStacks, known: readonly number[]): PageStacks {
  const [modules, files, kinds, functions, places, nodes, ends] = known;
  return {
    modules: all.modules.slice(modules),
    files: all.files.slice(files),
    kinds: all.kinds.slice(kinds),
    functions: {
      name: all.functions.name.slice(functions),
      module: all.functions.module.slice(functions),
      kind: all.functions.kind.slice(functions),
    },
    places: {
      fn: all.places.fn.slice(places),
      file: all.places.file.slice(places),
      line: all.places.line.slice(places),
    },
    nodes: { back: all.nodes.back.slice(nodes), place: all.nodes.place.slice(nodes) },
    ends: all.ends.slice(ends),
  };
}

/** One call path may map memory of several kinds. */
const keyOf = ({ id, kind }: MappedPath) => `${id} ${kind}`;

/** One recording, as pages have it. Call paths have numbers there, in the order in which they were met, and keep them. */
export class Feed {
  /** Which recording it is, of those that the server shows one after the other. */
  readonly recording: number;
  readonly #symbols: Symbols;
  readonly #stacks = new StackTable();
  readonly #ends: number[] = [];
  /** The number in pages of each call path, by that in the recording; and the other way. */
  readonly #numbers: number[] = [];
  readonly #ids: number[] = [];
  /** Figures as pages have them. */
  readonly #figures = new Map(Object.keys(FIGURES).map((name) => [name, [] as number[]]));
  /** The innermost nodes of paths that map memory. */
  readonly #mappedEnds = new Map<string, number>();
  #look: Look;
  #threads = "";
  #mapped = "";
  #accounts = "";
  #marks: readonly TimelineMark[] = [];

  /** Of the recording of this look; it is to be told of that by {@linkcode Feed.tell} too. */
  constructor(recording: number, look: Look, options: SymbolOptions = {}) {
    this.recording = recording;
    this.#look = look;
    this.#symbols = new Symbols(look.profile, options);
  }

  /** Looks up the names of a look's call paths that are not known yet. */
  async learn(look: Look): Promise<void> {
    const paths = [...this.#unknown(look).map((id) => look.path(id)), ...this.#unknownMapped(look).map(asCallPath)];
    if (paths.length === 0) return;
    this.#symbols.follow(look.profile);
    await this.#symbols.resolve(paths);
  }

  /** Goes on to a look, whose names have been learnt, and says what has changed since the one before. */
  tell(look: Look, marks: readonly TimelineMark[] = this.#marks): LookData {
    const known = growing(this.#stacked()).map(({ length }) => length);
    const unknown = this.#unknown(look);
    for (const id of unknown) {
      this.#numbers[id] = this.#ids.push(id) - 1;
      this.#ends.push(this.#stacks.add(outwardIn(look.path(id), this.#symbols, {})));
    }
    for (const path of this.#unknownMapped(look)) {
      this.#mappedEnds.set(keyOf(path), this.#stacks.add(outwardIn(asCallPath(path), this.#symbols, {})));
    }
    this.#look = look;
    const added = growing(this.#stacked()).some(({ length }, i) => length !== known[i]);
    const mapped = this.#mappedNow();
    const mappedText = JSON.stringify(mapped);
    const threads = threadsOf(look.profile);
    const text = JSON.stringify(threads);
    const memory = memoryOf(look.profile);
    const accounts = JSON.stringify(memory?.seconds);
    const said = {
      ...this.#said(),
      ...this.#changed(),
      ...this.#beside(() => Array.from(look.changed, (id) => look.path(id))),
      added: added ? behind(this.#stacked(), known) : undefined,
      threads: text === this.#threads ? undefined : threads,
      marks: marks === this.#marks ? undefined : marks,
      memory: accounts === this.#accounts ? undefined : memory,
      mapped: mappedText === this.#mapped ? undefined : mapped,
    };
    [this.#threads, this.#marks, this.#accounts, this.#mapped] = [text, marks, accounts, mappedText];
    return said;
  }

  /** Those for which something was counted first since the look before are among those that moved. */
  #unknown({ changed }: Look): number[] {
    return Array.from(changed.filter((id) => this.#numbers[id] === undefined));
  }

  #unknownMapped({ profile }: Look): MappedPath[] {
    return (profile.mappings?.paths ?? []).filter((path) => !this.#mappedEnds.has(keyOf(path)));
  }

  /** What the program has mapped itself so far; undefined where that is not followed. */
  #mappedNow(): MappedData | undefined {
    const { mappings } = this.#look.profile;
    return mappings && mappedOf(mappings.paths, mappings.paths.map((path) => this.#mappedEnds.get(keyOf(path)) ?? -1));
  }

  /** What is recorded of call paths beside their figures. */
  #beside(paths: () => readonly CallPath[]): Pick<LookData, "sizes" | "lifetimes"> {
    const { limits } = this.#look.profile;
    return {
      sizes: limits.sizes ? sizesOf(paths()) : undefined,
      lifetimes: limits.lifetimes ? lifetimesOf(paths()) : undefined,
    };
  }

  /** All that there is, for a page that has so many of each part already, by what it says: `12.3.4.5.6.7.8`. */
  whole(page: string): LookData {
    const [all, known] = [this.#stacked(), /^\d+(\.\d+){6}$/.test(page) ? page.split(".").map(Number) : []];
    return {
      ...this.#said(),
      figures: Object.fromEntries(this.#figures),
      added: growing(all).some(({ length }, i) => length !== known[i]) ? behind(all, known) : undefined,
      threads: threadsOf(this.#look.profile),
      marks: this.#marks,
      memory: memoryOf(this.#look.profile),
      mapped: this.#mappedNow(),
      ...this.#beside(() => this.profile().callPaths),
    };
  }

  /** The page; `moments` are those that are kept in the recording. */
  page(moments: Uint8Array | undefined): string {
    const profile = this.profile();
    const aside = knownLeaks(profile, this.#symbols);
    const data = pageData(profile, this.#symbols, this.#stacked(), {
      view: "live",
      marks: this.#marks,
      moments,
      aside,
    });
    // What looks do not tell would stand still.
    const still = { layers: undefined };
    const served = { recording: this.recording };
    return pageFile({ ...data, ...still, mapped: this.#mappedNow(), served } satisfies PageData);
  }

  /** The recording at the last look, whose names {@linkcode Feed.symbols} has; call paths as pages have them. */
  profile(): Profile {
    return { ...this.#look.profile, callPaths: this.#ids.map((id) => this.#look.path(id)) };
  }

  /** The names. */
  get symbols(): Symbols {
    return this.#symbols;
  }

  #stacked(): PageStacks {
    return { ...this.#stacks.columns(), ends: this.#ends };
  }

  #said(): Pick<LookData, "recording" | "seconds" | "running" | "totals" | "resident" | "figures"> {
    const { seconds, running, profile, totals, resident = -1 } = this.#look;
    return {
      recording: this.recording,
      seconds: Math.round(1000 * seconds) / 1000,
      running,
      totals: totalsOf({ ...profile, totals }),
      resident,
      figures: {},
    };
  }

  /** Takes over the figures of call paths that moved: their numbers in pages, and those columns in which there is any change. */
  #changed(): Pick<LookData, "paths" | "figures"> {
    const paths = Array.from(this.#look.changed, (id) => this.#numbers[id] as number);
    const figures: Record<string, readonly number[]> = {};
    for (const [name, now] of Object.entries(this.#look.columns())) {
      const column = this.#figures.get(name) ?? [];
      if (paths.some((path, i) => column[path] !== now[i])) figures[name] = now;
      paths.forEach((path, i) => column[path] = now[i] as number);
    }
    return { paths, figures };
  }

  /** Ends what looks names up. */
  [Symbol.dispose](): void {
    this.#symbols[Symbol.dispose]();
  }
}
