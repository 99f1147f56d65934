/**
 * The best answer that the tools on this machine have. Where there is debug information the first is asked, and the next
 * ones about what it leaves open; where there is none the symbol table is enough, and a tool only reads mangled names.
 */
import { statSync } from "node:fs";
import { hasLine, isWhole, merge, outermost, withFunction } from "./answers.ts";
import type { Backend, Name, Tool } from "./backend.ts";
import type { NameSource } from "./debug_files.ts";
import { DebugRanges } from "./debug_ranges.ts";
import { missingPermission } from "../native/build.ts";
import { SymbolTable } from "./symbol_table.ts";
import type { CodeSymbol } from "./symbol_table.ts";

/** Questions by which it is found out whether a tool knows more than the one before it. */
const PROBES = 16;
/** Milliseconds that a tool has after a failure. */
const HASTE = 2000;
/** Failures of a tool that never answered anything until it is left alone. */
const MOST_FAILURES = 2;

/** Asks tools about addresses. */
export class Lookup {
  readonly #tools: readonly { readonly tool: Tool; readonly backend: Backend }[];
  readonly #thorough: boolean;
  readonly #given = new Map<Backend, Set<string>>();
  readonly #proven = new Set<Backend>();
  readonly #tables = new Map<string, SymbolTable>();
  readonly #failures = new Map<string, string>();
  /** Whether programs may not be run: what one is refused, all are. */
  #isDenied = false;
  #hasEnded = false;

  /** `thorough`: what the best tool leaves open others are asked, not only what it fails at. */
  constructor(tools: readonly Tool[], thorough = true) {
    this.#thorough = thorough;
    this.#tools = tools.map((tool) => ({ tool, backend: tool.open() }));
  }

  /** The tools' programs. */
  get commands(): readonly string[] {
    return this.#tools.map(({ tool }) => tool.command);
  }

  /** What tells this set of tools from another. */
  get identity(): string {
    return this.#tools.map(({ tool }) => tool.identity).join("\n");
  }

  /** Whether a tool gave up on a file, or was given up: what is known of it may be less than could be. */
  failedAt(source: NameSource): boolean {
    return this.#hasEnded || [...this.#given.values()].some((files) => files.has(source.elf.path));
  }

  /** The symbols of a module. */
  table({ elf, own }: NameSource): SymbolTable {
    let table = this.#tables.get(elf.path);
    if (!table) this.#tables.set(elf.path, table = new SymbolTable(own, elf === own ? [] : [elf]));
    return table;
  }

  /** Names of each address of a module, in order; an unknown one gives an empty list. */
  async names(source: NameSource, addresses: readonly number[]): Promise<(readonly Name[])[]> {
    const table = this.table(source);
    const answers: (readonly Name[])[] = addresses.map(() => []);
    if (source.has === "debug") await this.#ask(source, table, addresses, answers);
    const open = addresses.flatMap((address, i) => {
      const symbol = outermost(answers[i] ?? []) === "" ? table.covering(address) : undefined;
      return symbol ? [[i, symbol] as const] : [];
    });
    const spelt = await this.#spell(open.map(([, symbol]) => symbol));
    for (const [i, symbol] of open) answers[i] = withFunction(answers[i] ?? [], spelt.get(symbol.name) ?? symbol.name);
    return answers;
  }

  async #ask(
    source: NameSource,
    table: SymbolTable,
    addresses: readonly number[],
    answers: (readonly Name[])[],
  ): Promise<void> {
    let open = addresses.map((_, i) => i);
    let ranges: DebugRanges | undefined;
    const ask = async (backend: Backend, indices: readonly number[]): Promise<boolean> => {
      const asked = indices.map((i) => addresses[i] ?? 0);
      const found = await this.#lookup(backend, source.elf.path, asked);
      const checked = found && await this.#check(backend, source.elf.path, table, asked, found);
      let isBetter = false;
      indices.forEach((i, at) => {
        const [before, merged] = [answers[i] ?? [], merge(answers[i] ?? [], checked?.[at] ?? [])];
        isBetter ||= hasLine(merged) && !hasLine(before);
        answers[i] = merged;
      });
      return isBetter;
    };
    for (const [n, { backend }] of this.#tools.entries()) {
      // Some code has no debug information, whoever is asked: where the file has an index, that tells; a few questions tell too.
      if (n > 0) {
        ranges ??= new DebugRanges(source.elf);
        const likely = open.filter((i) => ranges?.has(addresses[i] ?? 0));
        if (likely.length === 0) return;
        if (open.length > PROBES) {
          const step = Math.ceil(likely.length / PROBES);
          const isBetter = await ask(backend, likely.filter((_, at) => at % step === 0));
          if (!isBetter) continue;
          open = open.filter((i) => !isWhole(answers[i] ?? []));
        }
      }
      await ask(backend, open);
      if (!this.#thorough && !this.#given.get(backend)?.has(source.elf.path)) return;
      open = open.filter((i) => !isWhole(answers[i] ?? []));
      if (open.length === 0) return;
    }
  }

  /** Asks one tool; undefined when it fails, at which it is not asked about that file again. */
  async #lookup(backend: Backend, file: string, addresses: readonly number[]): Promise<Name[][] | undefined> {
    const given = this.#given.get(backend) ?? new Set();
    if (
      this.#isDenied || this.#hasEnded || given.has(file) || (given.size >= MOST_FAILURES && !this.#proven.has(backend))
    ) {
      return undefined;
    }
    try {
      // One that failed before it had ever answered is not waited for as long again.
      const patience = given.size > 0 && !this.#proven.has(backend) ? HASTE : patienceWith(file);
      const found = await backend.lookup(file, addresses, patience);
      this.#proven.add(backend);
      return found;
    } catch (error) {
      this.#given.set(backend, given.add(file));
      const missing = missingPermission(error);
      if (missing !== undefined) {
        this.#isDenied = true;
        this.#failures.set("", `Names come from symbol tables, without lines: ${missing}`);
        return undefined;
      }
      const why = (error as Error).message;
      const last = this.#tools.at(-1)?.backend === backend;
      const then = last ? "names come from symbol tables, without lines" : "another tool was asked";
      // Of one tool the first file tells enough.
      if (!this.#failures.has(backend.name)) {
        this.#failures.set(backend.name, `${backend.name} failed at "${file}" (${why}): ${then}`);
      }
      return undefined;
    }
  }

  /** What tools failed at, a line each. */
  get problems(): readonly string[] {
    return [...this.#failures.values()];
  }

  /**
   * Takes away the names of functions that do not cover the address: what a tool takes that goes by the nearest symbol
   * before it. Debug information may know a function that has no symbol; whether the name is that function's or the
   * symbol's before it, the same tool tells when it is asked about that symbol's own place.
   */
  async #check(
    backend: Backend,
    file: string,
    table: SymbolTable,
    addresses: readonly number[],
    found: readonly (readonly Name[])[],
  ): Promise<(readonly Name[])[]> {
    const suspects = addresses.map((address, i) => outermost(found[i] ?? []) ? table.misleading(address) : []);
    const places = [...new Set(suspects.flat().map(({ address }) => address))];
    const there = places.length > 0 ? await this.#lookup(backend, file, places) : [];
    const nameAt = new Map(places.map((place, i) => [place, outermost(there?.[i] ?? [])]));
    return found.map((names, i) => {
      const name = outermost(names);
      const symbol = name ? table.covering(addresses[i] ?? 0) : undefined;
      // Nobody vouches for a name that has neither.
      if (!symbol && !hasLine(names)) return [];
      const isAnothers = (suspects[i] ?? []).some((other) =>
        !there || nameAt.get(other.address) === name || other.name === name
      );
      // A file without a line is the symbol table's guess.
      return isAnothers || !hasLine(names) ? withFunction(names, isAnothers ? "" : name) : names;
    });
  }

  /** Mangled names as a tool reads them, by what they were: it is asked about the place where the symbol begins. */
  async #spell(symbols: readonly CodeSymbol[]): Promise<ReadonlyMap<string, string>> {
    const spelt = new Map<string, string>();
    const byFile = new Map<string, Map<string, CodeSymbol>>();
    for (const symbol of symbols) {
      if (!/^_[ZRD]/.test(symbol.name)) continue;
      let wanted = byFile.get(symbol.file);
      if (!wanted) byFile.set(symbol.file, wanted = new Map());
      wanted.set(symbol.name, symbol);
    }
    for (const [file, wanted] of byFile) {
      const list = [...wanted.values()];
      for (const { backend } of this.#tools) {
        const found = await this.#lookup(backend, file, list.map(({ address }) => address));
        if (!found) continue;
        found.forEach((names, i) => {
          const [name, raw] = [outermost(names), list[i]?.name ?? ""];
          if (name && isSpellingOf(name, raw)) spelt.set(raw, name);
        });
        break;
      }
    }
    return spelt;
  }

  /** Ends the tools' processes; they start again when something is asked. */
  close(): void {
    for (const { backend } of this.#tools) backend.close();
  }

  /** Ends them for good: what is being asked is not asked of another tool, which nobody would end. */
  end(): void {
    this.#hasEnded = true;
    this.close();
  }
}

/** Milliseconds that a tool may take for an answer: it reads the whole file first. */
function patienceWith(file: string): number {
  return 10_000 + statSync(file).size / 1e4;
}

/** Whether a readable name is one of a mangled one: both have the same last word of those that a name is made of. */
function isSpellingOf(name: string, mangled: string): boolean {
  const words = [...mangled.matchAll(/(\d+)(?=([A-Za-z_]\w*))/g)].flatMap(([, length = "", text = ""]) => {
    const word = text.slice(0, Number(length));
    return word.length === Number(length) ? [word] : [];
  });
  return words.length === 0 || words.some((word) => name.includes(word));
}
