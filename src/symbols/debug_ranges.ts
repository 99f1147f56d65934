/** Which addresses a file has debug information of, as far as its own index of them tells. */
import type { Elf } from "./elf.ts";
import { u64 } from "./elf.ts";

const LONG = 0xffffffff;

/** The `.debug_aranges` of a file. */
export class DebugRanges {
  /** Starts and ends, by start. */
  readonly #ranges: readonly (readonly [number, number])[];

  constructor(elf: Elf) {
    const view = elf.content(elf.layout.find(({ name }) => /^\.z?debug_aranges$/.test(name)));
    this.#ranges = view ? [...ranges(view)].sort(([a], [b]) => a - b) : [];
  }

  /** Whether the file has such an index. Clang writes none unless it is told to. */
  get known(): boolean {
    return this.#ranges.length > 0;
  }

  /** Whether there is debug information of an address; true where nothing tells. */
  has(address: number): boolean {
    if (!this.known) return true;
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ranges[middle]?.[0] ?? Infinity) <= address) low = middle + 1;
      else high = middle;
    }
    const range = this.#ranges[low - 1];
    return range !== undefined && address < range[1];
  }
}

function* ranges(view: DataView): Generator<readonly [number, number]> {
  for (let at = 0; at + 12 <= view.byteLength;) {
    const short = view.getUint32(at, true);
    const isLong = short === LONG;
    const length = isLong ? u64(view, at + 4) : short;
    const body = at + (isLong ? 12 : 4);
    const end = Math.min(view.byteLength, body + length);
    if (length === 0) return;
    // version, offset of its unit, sizes of an address and of a segment; then pairs, aligned to their size
    const head = body + 2 + (isLong ? 8 : 4) + 2;
    const isUsual = head <= view.byteLength && view.getUint8(head - 2) === 8 && view.getUint8(head - 1) === 0;
    for (let pair = at + Math.ceil((head - at) / 16) * 16; isUsual && pair + 16 <= end; pair += 16) {
      const [start, size] = [u64(view, pair), u64(view, pair + 8)];
      if (size > 0) yield [start, start + size];
    }
    at = end;
  }
}
