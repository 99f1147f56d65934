/**
 * Moments of a run, as they stand behind what a recording's header describes: what each call path had allocated and live then, as
 * differences from the moment before, in numbers of 7 bits a byte, gzipped.
 */
import { zlib } from "./builtin.ts";

/** Figures of a call path that a moment has. */
export const MOMENT_FIELDS = ["allocations", "bytes", "liveBytes", "liveCount"] as const;
const WIDTH = MOMENT_FIELDS.length;

/** What changed: numbers of call paths in order, and by how much each of {@linkcode MOMENT_FIELDS} did, side by side. */
export interface Changes {
  readonly ids: Uint32Array;
  readonly values: Float64Array;
}

/** A moment, by what changed since the one before. */
export interface KeptMoment {
  /** Nanoseconds since the recording began. */
  readonly time: number;
  /** Live bytes of the process. */
  readonly current: number;
  /** Its resident set. */
  readonly resident: number;
  /** Its allocations. */
  readonly allocations: number;
  readonly changes: Changes;
}

/** Two changes after each other as one. */
export function joined(first: Changes, second: Changes): Changes {
  const ids = new Uint32Array(first.ids.length + second.ids.length);
  const values = new Float64Array(ids.length * WIDTH);
  let [a, b, n] = [0, 0, 0];
  while (a < first.ids.length || b < second.ids.length) {
    const [x, y] = [first.ids[a] ?? Infinity, second.ids[b] ?? Infinity];
    ids[n] = Math.min(x, y);
    for (let k = 0; k < WIDTH; k++) {
      values[n * WIDTH + k] = (x <= y ? first.values[a * WIDTH + k]! : 0) +
        (y <= x ? second.values[b * WIDTH + k]! : 0);
    }
    if (x <= y) a++;
    if (y <= x) b++;
    n++;
  }
  return { ids: ids.slice(0, n), values: values.slice(0, n * WIDTH) };
}

/** What changed from one row of all figures to a later one. */
export function changesBetween(before: Float64Array, now: Float64Array): Changes {
  const ids: number[] = [];
  const paths = now.length / WIDTH;
  for (let id = 0; id < paths; id++) {
    for (let k = id * WIDTH; k < id * WIDTH + WIDTH; k++) {
      if (now[k] !== (before[k] ?? 0)) {
        ids.push(id);
        break;
      }
    }
  }
  const values = new Float64Array(ids.length * WIDTH);
  ids.forEach((id, i) => {
    for (let k = 0; k < WIDTH; k++) values[i * WIDTH + k] = now[id * WIDTH + k]! - (before[id * WIDTH + k] ?? 0);
  });
  return { ids: Uint32Array.from(ids), values };
}

class Numbers {
  #bytes = new Uint8Array(65536);
  #length = 0;

  put(n: number): void {
    if (this.#length + 16 > this.#bytes.length) {
      const more = new Uint8Array(2 * this.#bytes.length);
      more.set(this.#bytes);
      this.#bytes = more;
    }
    let rest = Math.max(0, Math.round(n));
    while (rest >= 128) {
      this.#bytes[this.#length++] = rest % 128 + 128;
      rest = Math.floor(rest / 128);
    }
    this.#bytes[this.#length++] = rest;
  }

  /** One that may be negative: its sign is in the lowest bit. */
  putSigned(n: number): void {
    const whole = Math.round(n);
    this.put(whole < 0 ? -2 * whole - 1 : 2 * whole);
  }

  take(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}

/** Moments as they stand in a recording. */
export function packMoments(moments: readonly KeptMoment[]): Uint8Array {
  const out = new Numbers();
  out.put(moments.length);
  for (const { time, current, resident, allocations, changes } of moments) {
    out.put(time);
    out.putSigned(current);
    out.put(resident);
    out.put(allocations);
    out.put(changes.ids.length);
    let last = 0;
    for (const id of changes.ids) {
      out.put(id - last);
      last = id;
    }
    for (const value of changes.values) out.putSigned(value);
  }
  return zlib().gzipSync(out.take(), { level: 4 });
}

/** More than any driver keeps. */
const MOST = 100_000, LONGEST = 2 ** 28;

/** The moments of a recording; none of what is damaged, or was just being written. */
export function unpackMoments(packed: Uint8Array): KeptMoment[] {
  let bytes: Uint8Array;
  try {
    bytes = zlib().gunzipSync(packed, { maxOutputLength: LONGEST });
  } catch {
    return [];
  }
  let at = 0;
  const next = () => {
    let [n, unit] = [0, 1];
    for (let byte = 128; byte >= 128; unit *= 128) {
      if (at >= bytes.length || unit > 2 ** 56) throw new RangeError("damaged");
      byte = bytes[at++]!;
      n += (byte % 128) * unit;
    }
    return n;
  };
  const signed = () => {
    const n = next();
    return n % 2 === 1 ? -(n + 1) / 2 : n / 2;
  };
  const moments: KeptMoment[] = [];
  try {
    const count = Math.min(next(), MOST);
    while (moments.length < count) {
      const [time, current, resident, allocations] = [next(), signed(), next(), next()];
      const changed = next();
      if (changed * (1 + WIDTH) > bytes.length - at) throw new RangeError("damaged");
      const ids = new Uint32Array(changed);
      for (let i = 0, last = 0; i < changed; i++) ids[i] = last += next();
      const values = Float64Array.from({ length: changed * WIDTH }, signed);
      moments.push({ time, current, resident, allocations, changes: { ids, values } });
    }
  } catch {
    return [];
  }
  return moments;
}
