/** What the page of the HTML report holds: every call path once, as columns of numbers, which compress well. */

/** The name of a view, again: the page's types are checked without Node's, which those of a profile need. */
export type ViewName = "allocated" | "live" | "peak" | "temporary";

/** Figures of call paths: a column each, in the order of the paths. */
export type Columns = Readonly<Record<string, readonly number[]>>;

/** Samples of a run, each of which holds until the next; -1 is what is not known. */
export interface TimelineData {
  /** When the run ended, in seconds from its start. */
  readonly end: number;
  readonly seconds: readonly number[];
  /** Live bytes. */
  readonly bytes: readonly number[];
  /** The highest that was live up to the next sample. */
  readonly highest?: readonly number[] | undefined;
  /** The resident set. */
  readonly rss?: readonly number[] | undefined;
  /** Bytes that the program had mapped itself. */
  readonly mapped?: readonly number[] | undefined;
}

/** What was live at moments of the run, by the functions that allocated it. */
export interface LayerData {
  readonly seconds: readonly number[];
  /** The functions with most at any moment, the one with most first. */
  readonly names: readonly string[];
  /** The number of a call path of each. */
  readonly paths: readonly number[];
  /** Live bytes of each at each moment. */
  readonly bytes: readonly (readonly number[])[];
  /** Those of all others. */
  readonly other: readonly number[];
}

/** What call paths had at moments of the run, by what changed: path by path, one moment after the other. */
export interface MomentData {
  readonly seconds: readonly number[];
  /** How many changes each path has. */
  readonly changes: readonly number[];
  /** Of each change, how many moments it is after the path's change before; of its first, after the first moment. */
  readonly after: readonly number[];
  /** By how much each figure changed: `allocations`, `bytes`, `frees`, `freedBytes`. */
  readonly figures: Columns;
}

/** What the resident set was made of. */
export interface MemoryData {
  /** When it was looked at. */
  readonly seconds: readonly number[];
  /** The bytes of each part, by the names that accounts give them. They add up to the resident set. */
  readonly parts: Columns;
}

/** Call paths that mapped memory themselves. */
export interface MappedData {
  /** What each mapped: `memory`, `file`, `shared`, `reserved`. */
  readonly kinds: readonly string[];
  /** The innermost node of each, among those of all call paths. */
  readonly ends: readonly number[];
  readonly figures: Columns;
}

/** A process of a run whose processes are shown together. */
export interface ProcessData {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
  readonly program: string;
  readonly file: string;
  readonly exit: string;
  readonly allocations: number;
  readonly bytes: number;
  readonly peakBytes: number;
  readonly liveBytes: number;
  /** Seconds after the first of them at which it began. */
  readonly begun: number;
  readonly timeline: TimelineData;
}

/** Lines of source files that the report may hold. */
export interface SourceData {
  /** Consecutive lines: the number of their file, that of the first line, and the lines. */
  readonly parts: readonly { readonly file: number; readonly first: number; readonly lines: readonly string[] }[];
  /** Numbers of files that have changed since the recording, and are not shown. */
  readonly changed: readonly number[];
}

/** What classes are called, and how many blocks each call path has of each. */
export interface ClassColumns {
  readonly names: readonly string[];
  readonly classes: readonly (readonly number[])[];
}

/** What a look at a recording that is served tells a page: what has changed since the look before. */
export interface LookData {
  /** The recording that it is of, counted by those that the server has shown: of another one a page begins anew. */
  readonly recording: number;
  /** Since the start of the recording. */
  readonly seconds: number;
  readonly running: boolean;
  readonly totals: Readonly<Record<string, number>>;
  /** The resident set, -1 where it is not known. */
  readonly resident: number;
  /** The call paths, by their numbers in the page, whose figures are others now; all when left out. */
  readonly paths?: readonly number[] | undefined;
  /** Their figures: those columns in which there is any change. */
  readonly figures: Columns;
  /** All threads, where any of them did something. */
  readonly threads?: PageData["threads"];
  /** What came to the names and stacks; undefined where nothing did. */
  readonly added?:
    | Pick<PageData, "modules" | "files" | "kinds" | "functions" | "places" | "nodes" | "ends">
    | undefined;
  /** All marks, where there are others than before. */
  readonly marks?: PageData["marks"];
  /** The resident set by what it is, where somebody has looked since. */
  readonly memory?: PageData["memory"];
  /** What the program mapped itself, where that has changed. */
  readonly mapped?: PageData["mapped"];
  /** Sizes and lifetimes of the same call paths as the figures, where they are recorded. */
  readonly sizes?: PageData["sizes"];
  readonly lifetimes?: PageData["lifetimes"];
}

/** The page's data, as JSON. */
export interface PageData {
  /** Of a page that a server keeps up with a recording: which it is, see {@link LookData}; a page in a file has none. */
  readonly served?: { readonly recording: number } | undefined;
  /** What ran. */
  readonly title: string;
  /** When and how it ran, a few words each. */
  readonly facts: readonly string[];
  /** The answer in a few sentences. */
  readonly answer: readonly string[];
  /** What could not be seen. */
  readonly notes: readonly string[];
  /** Path of the program: its functions get the first colour. */
  readonly program: string;
  /** The view that the page begins with. */
  readonly view: ViewName;
  /** What `live` is called here. */
  readonly live: string;
  /** The process's totals, by the names of the columns; those that are not known are left out. */
  readonly totals: Readonly<Record<string, number>>;
  /** How far totals may be off that are estimates, in words: `±7.5%`. */
  readonly margins?: Readonly<Record<string, string>> | undefined;
  /** Totals of the earlier run, where two are compared. */
  readonly before?: Readonly<Record<string, number>> | undefined;
  /** The run, where its samples are known. */
  readonly timeline?: TimelineData | undefined;
  /** The earlier run, where two are compared. */
  readonly timelineBefore?: TimelineData | undefined;
  /** What was live by function, where moments were kept. */
  readonly layers?: LayerData | undefined;
  /** What call paths had at moments, where two or more were kept of what is shown. */
  readonly moments?: MomentData | undefined;
  /** The resident set by what it is, where somebody looked. */
  readonly memory?: MemoryData | undefined;
  /** What the program mapped itself, where that was followed and it did. */
  readonly mapped?: MappedData | undefined;
  /** Numbers of the call paths whose live blocks libraries keep on their own account, what those are in all, and whose. */
  readonly aside?: {
    readonly paths: readonly number[];
    readonly bytes: number;
    readonly blocks: number;
    readonly whose: string;
  } | undefined;
  /** Moments of the run that have a name. */
  readonly marks?: readonly { readonly name: string; readonly seconds: number }[] | undefined;
  /** The processes whose figures are together here. */
  readonly processes?: readonly ProcessData[] | undefined;
  /** Threads: a name and figures each. */
  readonly threads?: readonly Readonly<Record<string, string | number>>[] | undefined;
  /** Paths of loaded objects. */
  readonly modules: readonly string[];
  /** Source files. */
  readonly files: readonly string[];
  /** Kinds of functions: those that frames have. */
  readonly kinds: readonly string[];
  /** Functions: names, and the numbers of their modules and kinds. */
  readonly functions: {
    readonly name: readonly string[];
    readonly module: readonly number[];
    readonly kind: readonly number[];
  };
  /** Places in the source: numbers of function and file, and the line. */
  readonly places: {
    readonly fn: readonly number[];
    readonly file: readonly number[];
    readonly line: readonly number[];
  };
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
  /** Lifetimes of each call path, where they were recorded: blocks that ended by time and by allocations, seconds that they lived, and what is live. */
  readonly lifetimes?:
    | {
      readonly times: ClassColumns;
      readonly allocations: ClassColumns;
      readonly seconds: readonly number[];
      readonly live?: { readonly blocks: readonly number[]; readonly seconds: readonly number[] } | undefined;
    }
    | undefined;
  /** Source lines around the places, where they were asked for. */
  readonly source?: SourceData | undefined;
  /** Figures of each call path. */
  readonly figures: Columns;
  /** Those of the earlier run, where two are compared. */
  readonly figuresBefore?: Columns | undefined;
}
