/** The rows of a live view: which there are, in which order, and what each has. */
import type { Look } from "../profile/looks.ts";
import type { Thread } from "../profile/profile.ts";
import type { Names } from "./names.ts";
import type { LiveSort, LiveState } from "./state.ts";

/** What a row has. */
export interface RowFigures {
  /** Bytes live. */
  readonly live: number;
  /** By how many that is more than at the base. */
  readonly growth: number;
  /** Bytes allocated a second. */
  readonly bytes: number;
  /** Allocations a second. */
  readonly allocations: number;
  /** Bytes live at the process's peak; undefined where that is not known. */
  readonly peak: number | undefined;
}

/** A row. */
export interface Row {
  /** What it stays known by from look to look. */
  readonly key: string;
  /** The number of its call path; undefined where it is of several. */
  readonly path: number | undefined;
  /** What it is called; "" for a call path, which is more than a name. */
  readonly name: string;
  readonly figures: RowFigures;
}

/** Rows at most: whoever looks for others filters. */
const MOST = 1000;

/** Those with the largest figures, the largest first, and by `then` where they are the same: sorting all of many takes longer than all else. */
function largest(
  ids: Uint32Array,
  most: number,
  by: (id: number) => number,
  then: ((id: number) => number) | undefined,
): number[] {
  const figures = new Float64Array(ids.length);
  for (let i = 0; i < ids.length; i++) figures[i] = by(ids[i] as number);
  const order = (i: number, j: number) =>
    (figures[j] as number) - (figures[i] as number) ||
    (then ? then(ids[j] as number) - then(ids[i] as number) : 0) || i - j;
  const sorted = (places: number[]) => places.sort(order).map((i) => ids[i] as number);
  if (ids.length <= most) return sorted([...ids.keys()]);
  const least = figures.toSorted()[ids.length - most] as number;
  const [above, same]: [number[], number[]] = [[], []];
  for (let i = 0; i < ids.length; i++) {
    if ((figures[i] as number) > least) above.push(i);
    else if (figures[i] === least) same.push(ids[i] as number);
  }
  const left = most - above.length;
  return [...sorted(above), ...then ? largest(Uint32Array.from(same), left, then, undefined) : same.slice(0, left)];
}

/** The looks that figures are made of. */
type Looks = Pick<LiveState, "before" | "base"> & { readonly look: Look };

/** What each sort goes by, of a call path. */
const BY: Readonly<Record<LiveSort, (id: number, looks: Looks) => number>> = {
  live: (id, { look }) => look.figure(id, "live"),
  growth: (id, { look, base }) => look.figure(id, "live") - (base?.figure(id, "live") ?? 0),
  bytes: (id, { look, before }) => before ? (look.figure(id, "size") - before.figure(id, "size")) / look.interval : 0,
  allocations: (id, { look, before }) =>
    before ? (look.figure(id, "count") - before.figure(id, "count")) / look.interval : 0,
  peak: (id, { look }) => look.figure(id, "peak"),
};
const SORTS = Object.keys(BY) as LiveSort[];

function figuresOf(id: number, looks: Looks): RowFigures {
  return Object.fromEntries(SORTS.map((sort) => [sort, BY[sort](id, looks)])) as Record<LiveSort, number>;
}

/** The row of a call path: most are never looked at. */
class PathRow implements Row {
  readonly key: string;
  readonly path: number;
  readonly name = "";
  readonly #looks: Looks;

  constructor(path: number, looks: Looks) {
    this.key = String(path);
    this.path = path;
    this.#looks = looks;
  }

  get figures(): RowFigures {
    return figuresOf(this.path, this.#looks);
  }
}

/** The call paths that the filter keeps. */
function chosen({ view, pattern }: LiveState, look: Look, names: Names): Uint32Array {
  // Of groups it is the name that has to match.
  return pattern && view === "paths" ? look.used.filter((id) => names.matches(look, id, pattern)) : look.used;
}

function groups(state: LiveState, looks: Looks, names: Names): Row[] {
  const { look } = looks;
  const sums = new Map<string, Record<LiveSort, number>>();
  for (const id of look.used) {
    const name = names.group(look, id, state.view);
    let sum = sums.get(name);
    if (!sum) sums.set(name, sum = { live: 0, growth: 0, bytes: 0, allocations: 0, peak: 0 });
    for (const sort of SORTS) sum[sort] += BY[sort](id, looks);
  }
  return [...sums].map(([name, figures]) => ({ key: name, path: undefined, name, figures }));
}

function threads({ look, before, base }: Looks): Row[] {
  const of = (at: Look | undefined) => new Map(at?.profile.threads.map((thread) => [thread.id, thread]));
  const [earlier, first] = [of(before), of(base)];
  const rate = (now: number, then: number | undefined) => before ? (now - (then ?? 0)) / look.interval : 0;
  return look.profile.threads.map((thread: Thread) => {
    const { id, name, tid, merged, liveBytes, bytes, allocations } = thread;
    const then = earlier.get(id);
    return {
      key: String(id),
      path: undefined,
      name: merged > 1 ? `${name} (${merged} threads)` : tid > 0 ? `${name} (${tid})` : name,
      figures: {
        live: liveBytes,
        growth: liveBytes - (first.get(id)?.liveBytes ?? 0),
        bytes: rate(bytes, then?.bytes),
        allocations: rate(allocations, then?.allocations),
        peak: undefined,
      },
    };
  });
}

/** The rows of a state, in their order. */
export function rowsOf(state: LiveState, names: Names): Row[] {
  const { look, view, pattern } = state;
  if (!look) return [];
  // Nothing has grown at the first look.
  const sort = state.sort === "growth" && state.base === look ? "live" : state.sort;
  const looks: Looks = { look, base: state.base, before: look.interval > 0 ? state.before : undefined };
  if (view === "paths") {
    const by = (id: number) => BY[sort](id, looks);
    const then = sort === "live" ? undefined : (id: number) => BY.live(id, looks);
    return largest(chosen(state, look, names), MOST, by, then)
      .map((id) => new PathRow(id, looks));
  }
  const all = view === "threads" ? threads(looks) : groups(state, looks, names);
  const kept = pattern ? all.filter(({ name }) => name.search(pattern) >= 0) : all;
  const by = ({ figures }: Row) => figures[sort] ?? 0;
  return kept.sort((a, b) => by(b) - by(a) || b.figures.live - a.figures.live || (a.name < b.name ? -1 : 1))
    .slice(0, MOST);
}
