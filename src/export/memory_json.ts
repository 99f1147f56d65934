/** Accounts, mappings and pages as JSON: what the keys mean stands in docs/JSON.md. */
import type { PageUse } from "../memory/pages.ts";
import { asCallPath, namedFigures } from "../profile/memory.ts";
import type { MappedPath, MemoryUse, MomentAccount } from "../profile/memory.ts";
import type { CallPath, Profile } from "../profile/profile.ts";
import { leadIndex } from "../symbols/lead.ts";
import type { Symbols } from "../symbols/symbols.ts";
import { frameJson } from "./frame_json.ts";

/** The account of a moment; null where something is not known. */
export type AccountJson = Readonly<Record<string, number | null>>;

function accountJson(account: MomentAccount): AccountJson {
  return { seconds: account.seconds, heap_bytes: account.current, ...namedFigures(account, null) };
}

/** What is known of the resident set. */
export interface MemoryJson {
  /** The highest that the kernel told. */
  readonly highest_resident: number | null;
  /** The last account, of now where the process runs. */
  readonly end: AccountJson;
  /** That of the moment with most live. */
  readonly heap_peak: AccountJson;
  /** That of the moment with the highest resident set. */
  readonly resident_peak: AccountJson;
  /** All. */
  readonly accounts: readonly AccountJson[];
}

/** The resident set's part of a report; null when nobody looked. */
export function memoryJson(memory: MemoryUse | undefined): MemoryJson | null {
  return memory
    ? {
      highest_resident: memory.highestResident ?? null,
      end: accountJson(memory.end),
      heap_peak: accountJson(memory.heapPeak),
      resident_peak: accountJson(memory.residentPeak),
      accounts: memory.accounts.map(accountJson),
    }
    : null;
}

function stackJson(path: CallPath, symbols: Symbols) {
  const stack = symbols.stack(path);
  const lead = stack[leadIndex(stack)];
  return {
    function: lead?.function ?? "",
    module: lead?.module ?? "",
    file: lead?.file ?? "",
    line: lead?.line ?? 0,
    stack_end: path.end,
    stack: stack.map(frameJson),
  };
}

/** A call path that mapped memory itself: what its keys mean stands in docs/JSON.md. */
export type MappedJson = Readonly<
  Record<string, string | number | readonly Readonly<Record<string, string | number | boolean>>[]>
>;

function mappedJson(path: MappedPath, symbols: Symbols): MappedJson {
  return {
    kind: path.kind,
    count: path.count,
    bytes: path.bytes,
    live_bytes: path.liveBytes,
    peak_bytes: path.peakBytes,
    given_back_bytes: path.givenBack,
    ...stackJson(asCallPath(path), symbols),
  };
}

/** What the program mapped itself, by call path and kind; null when that was not followed. Names must have been resolved. */
export function mappingsJson({ mappings }: Profile, symbols: Symbols): readonly MappedJson[] | null {
  return mappings ? mappings.paths.map((path) => mappedJson(path, symbols)) : null;
}

/** Who holds the heap's pages. Names of the paths must have been resolved. */
export function pagesJson(pages: PageUse, profile: Profile, symbols: Symbols) {
  const known = new Map(profile.callPaths.map((path) => [path.id, path]));
  const { uppermost } = pages;
  return {
    pid: pages.pid,
    seconds: pages.seconds ?? null,
    resident: pages.resident,
    in_use: pages.inUse,
    beside: pages.beside,
    empty: pages.empty,
    before: pages.before ? { in_use: pages.before.inUse, share: pages.before.share } : null,
    trimmable: pages.trimmable ?? null,
    fullness: pages.fullness,
    interval_seconds: pages.interval ?? null,
    uppermost: uppermost
      ? {
        empty_below: uppermost.emptyBelow,
        ...known.get(uppermost.id) && stackJson(known.get(uppermost.id) as CallPath, symbols),
      }
      : null,
    pinned: pages.paths.map(({ id, alone, share, live, blocks, oldBlocks }) => {
      const path = known.get(id);
      return { share, alone, live, blocks, old_blocks: oldBlocks, ...path && stackJson(path, symbols) };
    }),
  };
}
