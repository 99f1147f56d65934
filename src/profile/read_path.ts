/** Call paths as they are read: the figures at once, the stack when it is first looked at. */
import type { Nodes } from "./nodes.ts";
import type { Now, PathSums } from "./path_sums.ts";
import type { CallPath, Frame, Lifetimes, Sizes, StackEnd, ThreadShare } from "./profile.ts";

/** Most reports show few of a hundred thousand stacks, and reading all takes longer than anything else. */
export class ReadPath implements CallPath {
  readonly id: number;
  readonly allocations: number;
  readonly bytes: number;
  readonly frees: number;
  readonly freedBytes: number;
  readonly reallocations: number;
  readonly carried: number;
  readonly temporary: number;
  readonly liveBytes: number;
  readonly liveCount: number;
  readonly peakBytes: number;
  readonly peakCount: number;
  readonly end: StackEnd;
  declare readonly exact?: CallPath["exact"];
  declare readonly variance?: number;
  declare readonly operation?: string;
  readonly sizes: Sizes | undefined;
  readonly lifetimes: Lifetimes | undefined;
  readonly threads: readonly ThreadShare[] | undefined;
  declare readonly stack: readonly Frame[];
  readonly #nodes: Nodes;
  #stack: readonly Frame[] | undefined;

  /** Of each path by itself, not of the class: a copy by spreading has the stack too. */
  static readonly #STACK: PropertyDescriptor & ThisType<ReadPath> = {
    enumerable: true,
    get(this: ReadPath) {
      return this.#stack ??= this.#nodes.stack(this.id);
    },
  };

  /** The path of a number. */
  constructor(
    id: number,
    { sums, nodes, now }: { sums: PathSums; nodes: Nodes; now: Now | undefined },
    threads: readonly ThreadShare[] | undefined,
  ) {
    const figures = sums.figures(id);
    this.id = id;
    this.allocations = figures.allocations;
    this.bytes = figures.bytes;
    this.frees = figures.frees;
    this.freedBytes = figures.freedBytes;
    this.reallocations = figures.reallocations;
    this.carried = figures.carried;
    this.temporary = figures.temporary;
    this.liveBytes = figures.liveBytes;
    this.liveCount = figures.liveCount;
    this.peakBytes = figures.peakBytes;
    this.peakCount = figures.peakCount;
    if (figures.exact) this.exact = figures.exact;
    if (figures.variance !== undefined) this.variance = figures.variance;
    this.end = nodes.end(id);
    const operation = nodes.operation(id);
    if (operation !== undefined) this.operation = operation;
    this.sizes = sums.sizes(id);
    this.lifetimes = sums.lifetimes(id, now);
    this.threads = threads;
    this.#nodes = nodes;
    Object.defineProperty(this, "stack", ReadPath.#STACK);
  }
}
