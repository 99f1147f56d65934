/** Figures of many spans in little room: sums for the means, a sample for the median. */

/** How a figure per iteration spreads over spans. */
export interface Spread {
  /** Lowest of a span. */
  readonly min: number;
  /** Median over spans; beyond 1,024 spans that of an even sample of them. */
  readonly median: number;
  /** Highest of a span. */
  readonly max: number;
  /** 95 % confidence interval of the mean per iteration; undefined with one span. */
  readonly interval: readonly [low: number, high: number] | undefined;
}

/** What a {@linkcode Tally} consists of, as plain values. */
export interface TallyData {
  /** Spans. */
  spans: number;
  /** Rounds that they stand for. */
  iterations: number;
  /** Sum of the figure. */
  total: number;
  /** Lowest figure per round of a span; null without spans. */
  min: number | null;
  /** Highest figure per round of a span; null without spans. */
  max: number | null;
  /** Sum of the squares of the spans' rounds. */
  iterationsSquared: number;
  /** Sum of the squares of the spans' figures. */
  totalSquared: number;
  /** Sum of the products of the two. */
  product: number;
  /** Figures per round of up to 1,024 spans. */
  samples: number[];
}

const SAMPLES = 1024;

/** 97.5 % quantiles of Student's t distribution, for 1 degree of freedom and on; 1.96 beyond. */
const T = (
  "12.706 4.303 3.182 2.776 2.571 2.447 2.365 2.306 2.262 2.228 2.201 2.179 2.160 2.145 2.131 2.120 2.110 2.101 2.093 " +
  "2.086 2.080 2.074 2.069 2.064 2.060 2.056 2.052 2.048 2.045 2.042"
).split(" ").map(Number);

/** `count` of some values, evenly spaced in their order of size. */
function thin(values: readonly number[], count: number): number[] {
  const sorted = [...values].sort((a, b) => a - b);
  return Array.from({ length: count }, (_, i) => sorted[Math.floor((i + 0.5) * sorted.length / count)] as number);
}

/** One figure over many spans. */
export class Tally {
  readonly #data: TallyData;
  #random = 1;
  /** The span that goes into the sample next, and the chance that one has by now. */
  #next = 0;
  #keep = 1;

  /** With the values of an earlier one, or empty. */
  constructor(data?: TallyData) {
    this.#data = data ? { ...data, samples: [...data.samples] } : {
      ...{ spans: 0, iterations: 0, total: 0, min: null, max: null },
      ...{ iterationsSquared: 0, totalSquared: 0, product: 0, samples: [] },
    };
  }

  /** Adds a span that stands for `iterations` rounds. */
  add(value: number, iterations: number): void {
    const d = this.#data;
    d.spans++;
    d.iterations += iterations;
    d.total += value;
    d.iterationsSquared += iterations * iterations;
    d.totalSquared += value * value;
    d.product += value * iterations;
    const each = value / iterations;
    if (d.min === null || each < d.min) d.min = each;
    if (d.max === null || each > d.max) d.max = each;
    if (d.spans >= this.#next) this.#sample(each);
  }

  /**
   * Each span so far is in the sample with the same chance. Which span is the next to go in is drawn in
   * advance (Li's algorithm L), so that one that does not costs nothing.
   */
  #sample(each: number): void {
    const { samples, spans } = this.#data;
    if (samples.length < SAMPLES) samples.push(each);
    else samples[Math.floor(this.#draw() * SAMPLES)] = each;
    if (samples.length < SAMPLES) return;
    this.#keep *= this.#draw() ** (1 / SAMPLES);
    this.#next = spans + 1 + Math.floor(Math.log(this.#draw()) / Math.log(1 - this.#keep));
  }

  /** A number between 0 and 1, the same ones in each run. */
  #draw(): number {
    this.#random = (Math.imul(this.#random, 1664525) + 1013904223) >>> 0;
    return (this.#random + 0.5) / 4294967296;
  }

  /** Spans that were added. */
  get spans(): number {
    return this.#data.spans;
  }

  /** Rounds that they stand for. */
  get iterations(): number {
    return this.#data.iterations;
  }

  /** Sum over all spans. */
  get total(): number {
    return this.#data.total;
  }

  /** Mean per iteration. */
  get mean(): number {
    return this.#data.iterations === 0 ? 0 : this.#data.total / this.#data.iterations;
  }

  /**
   * The interval is that of a ratio of two sums (values over iterations), so spans of many rounds weigh
   * as much as they should.
   */
  spread(): Spread {
    const { spans, iterations, min, max, samples, iterationsSquared, totalSquared, product } = this.#data;
    if (min === null || max === null) return { min: 0, median: 0, max: 0, interval: undefined };
    const sorted = [...samples].sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    const median = sorted.length % 2
      ? sorted[middle] as number
      : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
    if (spans < 2) return { min, median, max, interval: undefined };
    const mean = this.mean;
    const squares = Math.max(0, totalSquared - 2 * mean * product + mean * mean * iterationsSquared);
    const half = (T[spans - 2] ?? 1.96) * Math.sqrt(squares / (spans - 1) / spans) * spans / iterations;
    return { min, median, max, interval: [mean - half, mean + half] };
  }

  /** This figure over the spans of both. */
  merge(other: Tally): Tally {
    const [a, b] = [this.#data, other.#data];
    const lower = (x: number | null, y: number | null) => x === null ? y : y === null ? x : Math.min(x, y);
    const higher = (x: number | null, y: number | null) => x === null ? y : y === null ? x : Math.max(x, y);
    const share = Math.round(SAMPLES * a.spans / Math.max(1, a.spans + b.spans));
    const fits = a.samples.length + b.samples.length <= SAMPLES;
    return new Tally({
      spans: a.spans + b.spans,
      iterations: a.iterations + b.iterations,
      total: a.total + b.total,
      min: lower(a.min, b.min),
      max: higher(a.max, b.max),
      iterationsSquared: a.iterationsSquared + b.iterationsSquared,
      totalSquared: a.totalSquared + b.totalSquared,
      product: a.product + b.product,
      samples: fits ? [...a.samples, ...b.samples] : [...thin(a.samples, share), ...thin(b.samples, SAMPLES - share)],
    });
  }

  /** All of it as plain values. */
  toJSON(): TallyData {
    return { ...this.#data, samples: [...this.#data.samples] };
  }
}
