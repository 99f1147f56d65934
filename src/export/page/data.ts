/** What the page of the HTML report holds: every call path once, as columns of numbers, which compress well. */
import type { ViewName } from "../../profile/views.ts";

/** Figures of call paths: a column each, in the order of the paths. */
export type Columns = Readonly<Record<string, readonly number[]>>;

/** The page's data, as JSON. */
export interface PageData {
  /** What ran. */
  readonly title: string;
  /** When and how it ran, a few words each. */
  readonly facts: readonly string[];
  /** What could not be seen. */
  readonly notes: readonly string[];
  /** Path of the program: its functions get the first colour. */
  readonly program: string;
  /** The view that the page begins with. */
  readonly view: ViewName;
  /** What `live` is called here. */
  readonly live: string;
  /** The process's totals, by the names of the columns. */
  readonly totals: Readonly<Record<string, number>>;
  /** Totals of the earlier run, where two are compared. */
  readonly before?: Readonly<Record<string, number>> | undefined;
  /** Samples of the run: seconds, live bytes, highest resident set (-1: not known); and when it ended. */
  readonly timeline?: { readonly end: number } & Columns | undefined;
  /** Threads: a name and figures each. */
  readonly threads?: readonly Readonly<Record<string, string | number>>[] | undefined;
  /** Paths of loaded objects. */
  readonly modules: readonly string[];
  /** Source files. */
  readonly files: readonly string[];
  /** Functions: names, and the numbers of their modules. */
  readonly functions: { readonly name: readonly string[]; readonly module: readonly number[] };
  /** Places in the source: numbers of function and file, and the line. */
  readonly places: Columns;
  /** Call paths as a tree from the outermost frame: how many nodes back a node's caller is (itself has none when that is 0), and its place. */
  readonly nodes: { readonly back: readonly number[]; readonly place: readonly number[] };
  /** The innermost node of each call path, -1 for none. */
  readonly ends: readonly number[];
  /** What sizes of requests are called, how many requests each class has, and slack (-1: not known), of each call path: where they were recorded. */
  readonly sizes?:
    | {
      readonly names: readonly string[];
      readonly requests: readonly (readonly number[])[];
      readonly slack: readonly number[];
    }
    | undefined;
  /** Figures of each call path. */
  readonly figures: Columns;
  /** Those of the earlier run, where two are compared. */
  readonly figuresBefore?: Columns | undefined;
}
