/**
 * Whose each part of a process's address space is: the allocator's, a stack, a file's, heaptap's, the program's own. By address, never by
 * whole entries of /proc/PID/smaps: the kernel puts neighbours of the same kind into one.
 */
import { WINDOW } from "./blocks.ts";
import { PAGE } from "./process_memory.ts";
import type { Area, ProcessMemory } from "./process_memory.ts";
import type { MappedRange } from "./mapped_ranges.ts";

/** What a part of memory is. */
export type Use = "heap" | "stacks" | "files" | "shared" | "heaptap" | "mapped" | "other";

/** A part that is the same throughout. */
export interface Part {
  /** First address. */
  readonly start: number;
  /** End. */
  readonly end: number;
  /** What it is. */
  readonly use: Use;
}

/** What glibc's allocator has. */
export interface Heap extends Part {
  /** Where its top begins, which it gives back in no case; its end for the heap below the break. */
  readonly top: number;
  /** Where the state of its arena is; undefined for the heap below the break, whose arena is in the C library's data. */
  readonly arena: number | undefined;
}

/** Areas that are larger are looked at as a whole: a sanitiser's tables, a cage of V8's. */
export const LARGEST = 2 ** 36;

/** Whether an object is glibc, or an allocator is glibc's, from its path. */
export function isGlibc(path: string): boolean {
  return /\/libc(?:-[\d.]+)?\.so(?:\.6)?(?: \(deleted\))?$/.test(path);
}

/** Whether an area is one of heaptap's tables: by flags that only these have. */
export function isOwnTable({ flags }: Area): boolean {
  return OWN_TABLES.test(flags);
}

/** Offset of `top` in glibc's malloc_state. */
const TOP_AT = 96;
/** Offset of the size in the heap_info at the start of an arena's heap. */
export const SIZE_AT = 16;

const SHARED_PATH = /^(?:\/dev\/(?:shm\/|zero\b)|\/memfd:|\/SYSV)/;
const OWN_TABLES = /^(?=.*\bnr\b)(?=.*\bdd\b)(?=.*\bnh\b)/;

/** Whether an area is private memory that no file is behind. */
export function isAnonymous({ access, path, flags }: Area): boolean {
  return access[3] === "p" && (path === "" || path === "[heap]" || path.startsWith("[anon")) && !/\bsh\b/.test(flags);
}

/**
 * glibc's heaps, in the order of addresses: that below the break, and those of arenas, which begin at multiples of 64 MiB with what says so.
 *
 * @param areas What is mapped.
 */
export function heapsOf(areas: readonly Area[], memory: ProcessMemory): Heap[] {
  const heaps: Heap[] = [];
  for (const area of areas) {
    if (area.path === "[heap]") {
      // The kernel parts it where a piece has been locked, or advised of.
      const last = heaps.at(-1);
      const part = last?.arena === undefined && last?.end === area.start ? heaps.pop() : undefined;
      const { start } = part ?? area;
      heaps.push({ start, end: area.end, use: "heap", top: area.end, arena: undefined });
    } else if (isAnonymous(area) && area.access.startsWith("rw") && area.resident > 0) {
      for (let at = Math.ceil(area.start / WINDOW) * WINDOW; at < area.end; at += WINDOW) {
        const heap = arenaHeap(at, memory);
        if (heap) heaps.push(heap);
      }
    }
  }
  return heaps;
}

/** The heap that an address is in. */
export function heapAt(heaps: readonly Heap[], address: number): Heap | undefined {
  const heap = heaps[firstAbove(heaps, address)];
  return heap && heap.start <= address ? heap : undefined;
}

function arenaHeap(at: number, memory: ProcessMemory): Heap | undefined {
  const [arena = 0, size = 0] = [memory.word(at), memory.word(at + SIZE_AT)];
  if (size < PAGE || size > WINDOW || size % PAGE !== 0) return undefined;
  // Its arena lies in its own first heap: that one says so of itself.
  const first = Math.floor(arena / WINDOW) * WINDOW;
  if (first === 0 || arena - first > 256 || memory.word(first) !== arena) return undefined;
  const top = memory.word(arena + TOP_AT) ?? 0;
  const end = at + size;
  return { start: at, end, use: "heap", top: top >= at && top < end ? top : end, arena };
}

/** Threads' stacks: readable and writable right above a guard. */
function stacksOf(areas: readonly Area[], limit: number): Part[] {
  return areas.flatMap((area, i): Part[] => {
    const guard = areas[i - 1];
    if (!isAnonymous(area) || !area.access.startsWith("rw") || area.path !== "" || !guard) return [];
    const guarded = guard.end === area.start && guard.access.startsWith("---") && guard.path === "" &&
      guard.end - guard.start <= 16 * PAGE;
    if (!guarded) return [];
    return [{ start: area.start, end: Math.min(area.end, area.start + limit), use: "stacks" }];
  });
}

/** What a loaded object has of memory beyond its file (bss), by its program headers. */
function zeroedOf(areas: readonly Area[], memory: ProcessMemory): Part[] {
  const parts: Part[] = [];
  areas.forEach((area, i) => {
    const [above, first] = [areas[i + 1], area.path];
    if (!first.startsWith("/") || !above || above.start !== area.end || !isAnonymous(above) || above.path !== "") {
      return;
    }
    const base = areas.slice(Math.max(0, i - 8), i + 1).find(({ path, offset }) => path === first && offset === 0)
      ?.start;
    const end = base === undefined ? undefined : objectEnd(base, memory);
    if (end !== undefined && end > above.start) {
      parts.push({ start: above.start, end: Math.min(above.end, end), use: "files" });
    }
  });
  return parts;
}

/** Where a loaded object ends, from its headers in memory. */
function objectEnd(base: number, memory: ProcessMemory): number | undefined {
  const head = new Uint8Array(64 + 56 * 32);
  if (memory.read(base, head) < 64) return undefined;
  const view = new DataView(head.buffer);
  if (view.getUint32(0, true) !== 0x464c457f) return undefined;
  const [at, count] = [Number(view.getBigUint64(32, true)), view.getUint16(56, true)];
  const kind = view.getUint16(16, true);
  let [low, high] = [Infinity, 0];
  for (let i = 0; i < count && at + 56 * (i + 1) <= head.length; i++) {
    const header = at + 56 * i;
    if (view.getUint32(header, true) !== 1) continue;
    const address = Number(view.getBigUint64(header + 16, true));
    low = Math.min(low, Math.floor(address / PAGE) * PAGE);
    high = Math.max(high, address + Number(view.getBigUint64(header + 40, true)));
  }
  if (high === 0) return undefined;
  // A program at fixed addresses has them as they are.
  return Math.ceil((kind === 2 ? high : base - low + high) / PAGE) * PAGE;
}

/** What a whole area is, when no part of it can be anything else. */
export function wholeUse(area: Area, own: { readonly recording: string; readonly library: string }): Use | undefined {
  const { path, access } = area;
  if ((path === own.recording && path !== "") || (own.library !== "" && path === own.library)) return "heaptap";
  if (path === "[stack]") return "stacks";
  if (access[3] === "s" || SHARED_PATH.test(path)) {
    return path.startsWith("/") && !SHARED_PATH.test(path) ? "files" : "shared";
  }
  if (path.startsWith("/")) return "files";
  if (isAnonymous(area)) return isOwnTable(area) ? "heaptap" : undefined;
  return path.startsWith("[v") ? "files" : "other";
}

/** The object that an address is in, with what it has beyond its file: the library's own. */
export function objectAt(areas: readonly Area[], address: number): string {
  const at = areas.findIndex(({ start, end }) => address >= start && address < end);
  for (let i = at; i >= 0; i--) {
    const area = areas[i] as Area;
    if (area.path.startsWith("/")) return area.path;
    if (area.path !== "" || areas[i - 1]?.end !== area.start) return "";
  }
  return "";
}

/** Parts of areas that have several, in the order of addresses. Where two overlap the earlier kind in this list holds. */
export function partsOf(
  areas: readonly Area[],
  memory: ProcessMemory,
  heaps: readonly Heap[],
  ranges: readonly MappedRange[],
  own: { readonly library: string; readonly stackLimit: number },
): Part[] {
  const zeroed = zeroedOf(areas, memory).map((part) =>
    objectAt(areas, part.start) === own.library && own.library !== "" ? { ...part, use: "heaptap" as const } : part
  );
  const mapped = ranges.map(({ start, end }): Part => ({ start, end, use: "mapped" }));
  return overlaid([heaps, zeroed, mapped, stacksOf(areas, own.stackLimit)]);
}

/** Puts layers of parts over each other, the first on top. */
export function overlaid(layers: readonly (readonly Part[])[]): Part[] {
  let parts: Part[] = [];
  for (const layer of layers) {
    const sorted = layer.toSorted((a, b) => a.start - b.start);
    const above = parts;
    const free = sorted.flatMap((part) => {
      const pieces: Part[] = [];
      let at = part.start;
      for (const { start, end } of above.slice(firstAbove(above, part.start))) {
        if (start >= part.end) break;
        if (start > at) pieces.push({ ...part, start: at, end: start });
        at = Math.max(at, end);
      }
      if (at < part.end) pieces.push({ ...part, start: at });
      return pieces;
    });
    parts = [...above, ...free].sort((a, b) => a.start - b.start);
  }
  return parts;
}

/** The index of the first part that ends above an address. */
export function firstAbove(parts: readonly Pick<Part, "end">[], address: number): number {
  let [low, high] = [0, parts.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((parts[middle]?.end ?? 0) > address) high = middle;
    else low = middle + 1;
  }
  return low;
}
