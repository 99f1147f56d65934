/** Where the resident memory was: accounts that somebody outside took, and memory that the program mapped itself. */
import { realpathSync } from "node:fs";
import process from "node:process";
import { CONSTANTS } from "../file/layout.ts";
import { text } from "../file/reader.ts";
import type { Snapshot, Table } from "../file/reader.ts";
import { isGlibc } from "../memory/layout.ts";
import type { Account, Surveyed } from "../memory/survey.ts";
import { surveyed } from "../memory/survey.ts";
import { pidHere } from "./here.ts";
import type { Nodes } from "./nodes.ts";
import { secondsSoFar } from "./timeline.ts";
import type { CallPath, Frame, StackEnd } from "./profile.ts";

/** The account of a moment. */
export interface MomentAccount extends Account {
  /** Seconds since the recording began. */
  readonly seconds: number;
  /** Live bytes then, as counted. */
  readonly current: number;
}

/** What is known of the resident set of a process. */
export interface MemoryUse {
  /** The highest that the kernel told, bytes; undefined when nobody looked. */
  readonly highestResident: number | undefined;
  /** The last account before the end. */
  readonly end: MomentAccount;
  /** That of the moment with most live, among those that there are. */
  readonly heapPeak: MomentAccount;
  /** That of the moment with the highest resident set, among those that there are. */
  readonly residentPeak: MomentAccount;
  /** All, the earliest first. */
  readonly accounts: readonly MomentAccount[];
}

/** What a mapping is of: anonymous memory, a file, shared memory, or addresses alone, which cannot be touched yet. */
export type MappedKind = "memory" | "file" | "shared" | "reserved";

const KINDS: readonly MappedKind[] = ["memory", "file", "shared", "reserved"];

/** What a call path has mapped by itself: mmap and its like, past the allocator. Bytes are those of whole pages. */
export interface MappedPath {
  /** Number of the call path in the recording. */
  readonly id: number;
  /** What it mapped. */
  readonly kind: MappedKind;
  /** Mappings that it made, or made usable. */
  readonly count: number;
  /** Their bytes. */
  readonly bytes: number;
  /** Those that are mapped still. */
  readonly liveBytes: number;
  /** Those that were, when the program had most memory mapped. */
  readonly peakBytes: number;
  /** Bytes that the program gave back by madvise and left mapped. */
  readonly givenBack: number;
  /** Frames from the innermost, which called mmap, outwards. */
  readonly stack: readonly Frame[];
  /** See {@linkcode CallPath}. */
  readonly end: StackEnd;
}

/** Memory that the program mapped itself; files, shared memory and reservations are not in these sums. */
export interface Mappings {
  /** Bytes that are mapped still. */
  readonly liveBytes: number;
  /** Highest such. */
  readonly peakBytes: number;
  /** By call path and kind, those with most at the peak first. */
  readonly paths: readonly MappedPath[];
}

/** The figures of an account, and what each is called in recordings and in JSON. */
export const ACCOUNT_FIELDS: Readonly<Record<keyof Account, string>> = {
  resident: "resident",
  live: "live",
  slack: "slack",
  before: "before",
  allocatorFree: "allocator_free",
  trimmable: "trimmable",
  mapped: "mapped",
  stacks: "stacks",
  files: "files",
  shared: "shared",
  heaptap: "heaptap",
  other: "other",
  swapped: "swapped",
  untouched: "untouched",
};

/** An account's figures by those names; `unknown` where something is not known. */
export function namedFigures<T>(account: Account, unknown: T): Record<string, number | T> {
  const names = Object.entries(ACCOUNT_FIELDS) as [keyof Account, string][];
  return Object.fromEntries(names.map(([figure, name]) => [name, account[figure] ?? unknown]));
}

/** The figures of an account as a recording has them. */
export function recordOf(account: Account): Record<string, number> & { readonly resident: number } {
  return { ...namedFigures(account, CONSTANTS.UNKNOWN as number), resident: account.resident };
}

/** Those of which not everything may be known. */
const UNSURE: ReadonlySet<string> = new Set<keyof Account>(["slack", "before", "trimmable", "mapped"]);

function accountAt(t: Table, i: number): MomentAccount {
  const n = (field: string) => Math.max(0, t.number(i, field));
  const figures = Object.entries(ACCOUNT_FIELDS).map(([figure, field]) => {
    const isUnknown = UNSURE.has(figure) && t.number(i, field) === CONSTANTS.UNKNOWN;
    return [figure, isUnknown ? undefined : n(field)];
  });
  return { ...Object.fromEntries(figures) as Account, seconds: n("time") / 1e9, current: n("current") };
}

/** The accounts that a recording has; undefined when it has none. */
export function readAccounts(snapshot: Snapshot): MemoryUse | undefined {
  const t = snapshot.sections.accounts;
  return memoryUse(
    Array.from({ length: t.length }, (_, i) => accountAt(t, i)),
    snapshot.header.number(0, "highest_resident") || undefined,
  );
}

/** What accounts come to; undefined when there are none. */
export function memoryUse(
  accounts: readonly MomentAccount[],
  highestResident: number | undefined,
): MemoryUse | undefined {
  const [first] = accounts;
  if (!first) return undefined;
  const most = (of: (account: MomentAccount) => number) =>
    accounts.reduce((best, account) => of(account) > of(best) ? account : best, first);
  return {
    highestResident,
    end: accounts.at(-1) ?? first,
    heapPeak: most(({ current }) => current),
    residentPeak: most(({ resident }) => resident),
    accounts,
  };
}

/** What the program has mapped itself; undefined when that was not followed. */
export function readMappings(snapshot: Snapshot, nodes: Nodes): Mappings | undefined {
  const h = (field: string) => snapshot.header.number(0, field);
  if (h("version") < 4 || h("mappings") === 0) return undefined;
  const t = snapshot.sections.mapped;
  const number = h("mapped_peak_number");
  const paths = Array.from({ length: t.length }, (_, i): MappedPath => {
    const id = t.number(i, "bucket");
    const liveBytes = t.number(i, "live_bytes");
    return {
      id,
      kind: KINDS[t.number(i, "kind")] ?? "memory",
      count: t.number(i, "count"),
      bytes: t.number(i, "bytes"),
      liveBytes,
      peakBytes: t.number(i, "peak_seen") === number ? t.number(i, "peak_bytes") : liveBytes,
      givenBack: t.number(i, "given_back"),
      stack: nodes.stack(id),
      end: nodes.end(id),
    };
  }).filter(({ count }) => count > 0);
  return {
    liveBytes: h("mapped_current"),
    peakBytes: Math.max(h("mapped_peak"), h("mapped_current")),
    paths: paths.sort((a, b) => b.peakBytes - a.peakBytes || b.bytes - a.bytes || a.id - b.id),
  };
}

/** A path that maps memory, as one that rows can be made of. */
export function asCallPath(path: MappedPath): CallPath {
  return {
    ...{ id: path.id, allocations: path.count, bytes: path.bytes, frees: 0, freedBytes: path.bytes - path.liveBytes },
    ...{ reallocations: 0, carried: 0, temporary: 0, liveBytes: path.liveBytes, liveCount: 0 },
    ...{ peakBytes: path.peakBytes, peakCount: 0, end: path.end, stack: path.stack },
  };
}

/** A path as the kernel tells it of what is mapped; one that has none any more stays. */
function fileOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/** What is needed to look at the memory of a recording's process, whose number here is looked up where it is not given. */
export function surveyedOf(snapshot: Snapshot, liveBytes: number, pid = pidHere(snapshot)): Surveyed {
  const h = (field: string) => snapshot.header.number(0, field);
  const isNew = h("version") >= 4;
  const allocator = text(snapshot, h("allocator"), h("allocator_length"));
  return {
    pid: pid ?? h("pid"),
    recording: snapshot.path && fileOf(snapshot.path),
    shadow: isNew ? h("shadow") : 0,
    mappings: isNew ? h("mappings") : 0,
    buckets: h("buckets"),
    allocator,
    // A script has itself recorded late too, where what is mapped is not followed; a fork's child has its parent's blocks.
    ranBefore: isNew && (h("attached") > 0 || h("forked") > 0 || h("mappings") === 0),
    mayWalk: isNew && isGlibc(allocator) && h("linked_length") === 0 && pid !== process.pid,
    liveBytes,
  };
}

/**
 * The account of this moment, of a process that runs.
 *
 * @throws {MemoryError} when it has ended or may not be looked at.
 */
export function accountNow(snapshot: Snapshot, liveBytes: number): MomentAccount {
  const seconds = secondsSoFar(snapshot);
  const account = surveyed(surveyedOf(snapshot, liveBytes), (survey, memory) => survey.account(memory));
  return { ...account, seconds, current: liveBytes };
}
