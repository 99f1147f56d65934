/** Where the memory is, as text: the account of the resident set, what the program mapped itself, who holds the heap's pages. */
import { basename } from "node:path";
import type { PageUse } from "../memory/pages.ts";
import { isGlibc } from "../memory/layout.ts";
import { bytes, count, plural, printable, share } from "../profile/format.ts";
import { asCallPath } from "../profile/memory.ts";
import type { MomentAccount } from "../profile/memory.ts";
import type { Profile } from "../profile/profile.ts";
import type { Symbols } from "../symbols/symbols.ts";
import { rowsOf } from "./rows.ts";
import type { Row } from "./rows.ts";
import { figureColumns } from "./table.ts";

/** Below such a part of the resident set something is not named by itself. */
const NOTABLE = 0.01;
/** From such a part on it is said whose memory that is which is not malloc's. */
const LARGE = 0.3;
/** By how much the kernel's highest may be above that of an account before it is said. */
const MISSED = 1.05;

/** An account in words: `100 MB in live blocks, 31.0 MB rounding and headers, …`. */
export function accountText(account: MomentAccount, { allocator }: Profile["process"]): string {
  const { resident, before, trimmable = 0 } = account;
  const free = isGlibc(allocator) ? "free in glibc's heaps" : "free in the allocator, rounding among it";
  const whose = before === undefined ? `in blocks from before, or ${free}` : free;
  const back = trimmable >= NOTABLE * resident
    ? ` (${bytes(trimmable)} in whole pages, which malloc_trim gives back)`
    : "";
  const parts: [number, string][] = [
    [account.live, "in live blocks"],
    [account.slack ?? 0, "rounding and headers"],
    [before ?? 0, "in blocks from before"],
    [account.allocatorFree, whose + back],
    [account.mapped ?? 0, "mapped by the program"],
    [account.stacks, "stacks"],
    [account.files, "files"],
    [account.shared, "shared memory"],
    [account.heaptap, "heaptap's own"],
    [account.other, before === undefined ? "other, what is the allocator's from before among it" : "other"],
  ];
  const named = parts.filter(([n]) => n >= NOTABLE * resident);
  const rest = parts.reduce((sum, [n]) => n >= NOTABLE * resident ? sum : sum + n, 0);
  return [
    ...named.map(([n, words]) => `${bytes(n)} ${words}`),
    ...rest >= NOTABLE * resident ? [`${bytes(rest)} in smaller parts`] : [],
  ].join(", ");
}

/** What else there is to know of memory that malloc has no part in, by the program's file. */
const REMEDIES: readonly (readonly [program: RegExp, words: string])[] = [
  [/^php/, "PHP's own pools have it: run it with --php (USE_ZEND_ALLOC=0)"],
  [/^(python|pypy)/, "Python's own pools have it: run it with --python (PYTHONMALLOC=malloc)"],
  [/^java$/, "the JVM's heaps have it: ask it with -XX:NativeMemoryTracking=summary and jcmd"],
  [/^node(js)?$/, "V8's heap has it: take a heap snapshot (node --heapsnapshot-signal=SIGUSR2)"],
  [/^deno$/, "V8's heap has it: take a heap snapshot (deno run --inspect)"],
  [/^bun/, "JavaScriptCore's heap has it: take a heap snapshot (bun --inspect)"],
  [/^ruby/, "Ruby's heap has it: ask ObjectSpace (objspace's memsize_of_all)"],
  [/^(cc1|cc1plus|lto1)$/, "the compiler's own collector has it (-fmem-report)"],
];

function remedy({ process }: Profile): string {
  // By its file: it may be called by a path, or with a script.
  const name = basename(process.executable);
  return REMEDIES.find(([program]) => program.test(name))?.[1] ?? "--view mapped shows who mapped it";
}

/** The resident set for the head of a report: its figure, when that was, and sentences on it. Undefined when nobody looked. */
export function residentLine(profile: Profile): { figure: number; when: string; words: string[] } | undefined {
  const { memory, process } = profile;
  if (!memory) return undefined;
  const account = process.running ? memory.end : memory.residentPeak;
  const highest = memory.highestResident ?? 0;
  const native = (account.mapped ?? 0) + account.other;
  // Whose what is from before is, is not known.
  const isLarge = account.before !== undefined && native >= LARGE * account.resident && native > account.live;
  return {
    figure: account.resident,
    when: process.running ? "now" : `at its highest that was looked at, after ${account.seconds.toFixed(2)} s`,
    words: [
      accountText(account, process),
      !process.running && highest > MISSED * account.resident
        ? `for a moment the kernel counted ${bytes(highest)}`
        : "",
      isLarge ? `${bytes(native)} is not malloc's: ${remedy(profile)}` : "",
    ].filter(Boolean),
  };
}

/** How rows look. */
export interface MemoryOptions {
  /** Rows, 0 for all. */
  readonly limit: number;
  /** Columns of the terminal. */
  readonly width: number;
  /** Whole file names. */
  readonly wholeFiles: boolean;
  /** Whole stacks, innermost frame first. */
  readonly raw: boolean;
}

function table(
  titles: readonly string[],
  rows: readonly { readonly cells: readonly string[]; readonly row: Row }[],
): string[] {
  const columns = figureColumns(titles, rows.map(({ cells }) => cells));
  return [
    `${columns.line(titles)}function`,
    ...rows.flatMap(({ cells, row: { name, place, via, callers } }) => [
      `${columns.line(cells)}${name}${place && ` ${place}`}${via}`,
      ...callers ? [`    ${callers}`] : [],
    ]),
  ];
}

/** Columns that figures take, about. */
const FIGURES = 40;

function rowOptions({ width, wholeFiles, raw }: MemoryOptions) {
  const all = wholeFiles || raw;
  return {
    width: all ? Infinity : Math.max(40, width - FIGURES),
    callersWidth: all ? Infinity : width - 4,
    ...{ wholeFiles, raw, apart: raw },
  };
}

const KIND_TITLES = {
  memory: "Memory that the program mapped itself, by call path",
  file: "Files that it mapped",
  shared: "Shared memory",
  reserved: "Addresses that it only reserved",
} as const;

/**
 * What the program mapped itself, by call path. Names must have been resolved.
 *
 * @example
 * ```ts
 * import { mappedText, Recording, Symbols } from "./mod.ts";
 *
 * const profile = Recording.open("sort.heaptap").profile();
 * using symbols = new Symbols(profile);
 * console.log(mappedText(profile, symbols, { limit: 5, width: 100, wholeFiles: false, raw: false }));
 * ```
 */
export function mappedText(profile: Profile, symbols: Symbols, options: MemoryOptions): string {
  const { mappings } = profile;
  if (!mappings) return "what the program maps itself is not known: it is followed where the library is preloaded\n";
  const lines = [
    `the program mapped ${bytes(mappings.peakBytes)} of memory itself at the most, ${bytes(mappings.liveBytes)} of it ${
      profile.process.running ? "is mapped now" : "was mapped at the end"
    }`,
  ];
  for (const kind of ["memory", "file", "shared", "reserved"] as const) {
    const paths = mappings.paths.filter((path) => path.kind === kind);
    if (paths.length === 0) continue;
    const rows = rowsOf(paths.map(asCallPath), symbols, rowOptions(options));
    rows.sort((a, b) => b.figures.peakBytes - a.figures.peakBytes || b.figures.bytes - a.figures.bytes);
    const shown = options.limit > 0 ? rows.slice(0, options.limit) : rows;
    const most = rows.reduce((sum, { figures }) => sum + figures.peakBytes, 0);
    lines.push(
      "",
      KIND_TITLES[kind],
      ...table(
        ["at the peak", "share", "mapped still", "in all", "calls"],
        shown.map((row) => ({
          row,
          cells: [
            bytes(row.figures.peakBytes),
            share(row.figures.peakBytes, most),
            bytes(row.figures.liveBytes),
            bytes(row.figures.bytes),
            count(row.figures.allocations),
          ],
        })),
      ),
    );
    if (shown.length < rows.length) lines.push(`${count(rows.length - shown.length)} more (--limit 0)`);
  }
  return `${lines.join("\n")}\n`;
}

const BAR = 30;

/** What there is to do about each part of the heap's pages. */
function pageLines(pages: PageUse): string[] {
  const { resident, inUse, beside, empty, before, trimmable } = pages;
  const columns = figureColumns(["", ""], [[bytes(resident), "100.0%"]]);
  const line = (n: number, words: string) => `  ${columns.line([bytes(n), share(n, resident) || "0.0%"])}${words}`;
  const emptyWords = before === undefined
    ? "empty pages, and blocks from before the recording, which are not known"
    : trimmable === undefined
    ? "empty pages, which the allocator keeps: it gives back whole slabs or extents, when it purges"
    : `empty pages: malloc_trim(0) gives ${
      bytes(trimmable)
    } of it back; M_TRIM_THRESHOLD, or another allocator, keeps less`;
  return [
    pages.seconds === undefined
      ? `the heap's resident pages: ${bytes(resident)}`
      : `the heap's resident pages after ${pages.seconds.toFixed(2)} s, when most was beside live blocks: ${
        bytes(resident)
      }`,
    line(inUse, "in live blocks: the program wants it (heaptap report --view live)"),
    ...before?.inUse ? [line(before.inUse, "in blocks from before the recording: whose they are is not known")] : [],
    line(
      beside,
      `beside live blocks, on pages that these hold: whose blocks they are stands below${
        before?.share ? `, but for ${bytes(before.share)} beside those from before` : ""
      }`,
    ),
    line(empty, emptyWords),
  ];
}

function fullnessLines({ fullness }: PageUse): string[] {
  const pages = fullness.reduce((sum, n) => sum + n, 0);
  const most = Math.max(1, ...fullness);
  if (pages === 0) return [];
  return [
    "",
    `How full the ${count(pages)} ${plural(pages, "page")} with live blocks are`,
    ...fullness.map((n, i) =>
      `  ${`${i * 10}-${i * 10 + 10} %`.padStart(8)} ${count(n).padStart(11)} ${
        (share(n, pages) || "0.0%").padStart(6)
      }  ${"#".repeat(Math.ceil(BAR * n / most))}`.trimEnd()
    ),
  ];
}

/**
 * Who holds the heap's pages. Names of the paths must have been resolved.
 *
 * @example
 * ```ts
 * import { pagesText, Recording, Symbols } from "./mod.ts";
 *
 * const recording = Recording.newest(".");
 * const profile = recording.profile();
 * if (profile.process.running) {
 *   using symbols = new Symbols(profile);
 *   await symbols.resolve(profile.callPaths);
 *   const look = { limit: 5, width: 100, wholeFiles: false, raw: false };
 *   console.log(pagesText(await recording.pages(), profile, symbols, look));
 * }
 * ```
 */
export function pagesText(pages: PageUse, profile: Profile, symbols: Symbols, options: MemoryOptions): string {
  const known = new Map(profile.callPaths.map((path) => [path.id, path]));
  const { interval, uppermost } = pages;
  const held = pages.paths.filter(({ share, alone }) => share > 0 || alone > 0);
  const shown = options.limit > 0 ? held.slice(0, options.limit) : held;
  const lines = [...pageLines(pages), ...fullnessLines(pages)];
  if (shown.length > 0) {
    const charged = interval === undefined
      ? "all blocks are charged"
      : `old blocks are charged, those that stood there ${interval.toFixed(1)} s before too`;
    lines.push("", `Who holds what is beside live blocks (${charged})`);
    const rows = shown.flatMap((pinned) => {
      const path = known.get(pinned.id);
      const [row] = path ? rowsOf([path], symbols, rowOptions(options)) : [];
      return row ? [{ row, pinned }] : [];
    });
    lines.push(
      ...table(
        ["share", "alone", "live", "blocks"],
        rows.map(({ row, pinned }) => ({
          row,
          cells: [bytes(pinned.share), bytes(pinned.alone), bytes(pinned.live), count(pinned.blocks)],
        })),
      ),
    );
    lines.push(
      "",
      "share: its part of what is held beside live blocks, which add up; alone: whole pages that would go back if its blocks went",
    );
  }
  const path = uppermost && known.get(uppermost.id);
  if (uppermost && path && uppermost.emptyBelow >= NOTABLE * pages.resident && uppermost.emptyBelow > 0) {
    const [row] = rowsOf([path], symbols, rowOptions(options));
    if (row) {
      lines.push(
        `the break cannot sink for a block of ${printable(row.name)}${row.place && ` ${row.place}`}, with ${
          bytes(uppermost.emptyBelow)
        } in empty pages below it`,
      );
    }
  }
  return `${lines.join("\n")}\n`;
}
