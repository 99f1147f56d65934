/** Call paths as rows of a report: those that read the same are one. */
import { combineLifetimes } from "../profile/lifetimes.ts";
import { combineSizes } from "../profile/sizes.ts";
import type { CallPath, Lifetimes, PathCounters, Sizes, StackEnd } from "../profile/profile.ts";
import { clip, printable } from "../profile/format.ts";
import { PathTotals } from "../profile/figures.ts";
import { leadOfPath } from "../symbols/lead.ts";
import type { Lead } from "../symbols/lead.ts";
import { fitName, middleOut } from "../symbols/names.ts";
import { frameName, shortPath, sourcePlace } from "../symbols/named_frame.ts";
import type { NamedFrame } from "../symbols/named_frame.ts";
import type { Symbols } from "../symbols/symbols.ts";
import { CALLED_BY } from "./signs.ts";

/** A row: what it says, and what the call paths that say so have together. */
export interface Row {
  /** The function that it is about. */
  readonly name: string;
  /** Where in the source that is, or in which module; "" when neither is known. */
  readonly place: string;
  /** What that called on the way to the allocator, ` via …`; "" when it was the allocator. */
  readonly via: string;
  /** Who called it, `← main app.c:20`; "" when nobody is known. */
  readonly callers: string;
  /** What stands at the outer end of the stack. */
  readonly end: StackEnd;
  /** The first of the call paths. */
  readonly path: CallPath;
  readonly figures: PathCounters;
  readonly sizes: Sizes | undefined;
  readonly lifetimes: Lifetimes | undefined;
}

/** How rows are written. */
export interface RowOptions {
  /** Columns for the first line, after its figures. */
  readonly width: number;
  /** Columns for the line of callers. */
  readonly callersWidth: number;
  /** Whether file names are whole. */
  readonly wholeFiles: boolean;
  /** Whether a row begins with the innermost frame, whatever it is. */
  readonly raw: boolean;
  /** Whether each call path is a row of its own. */
  readonly apart: boolean;
}

/** Columns that a name, and what it went through, have at least. */
const LEAST = 12;

/** A frame in words. */
interface Told {
  readonly name: string;
  readonly place: string;
  /** As a caller, whole. */
  readonly caller: string;
}

/** Makes rows. What it says of a frame it says again of the next call path that has it. */
export class Rows {
  readonly #options: RowOptions;
  readonly #told = new Map<NamedFrame, Told>();
  readonly #fitted = new Map<string, string>();

  constructor(options: RowOptions) {
    this.#options = options;
  }

  #tell(frame: NamedFrame | undefined): Told {
    if (!frame) return { name: frameName(frame), place: "", caller: "" };
    let told = this.#told.get(frame);
    if (!told) {
      const name = printable(frameName(frame));
      const place = printable(sourcePlace(frame, this.#options.wholeFiles));
      this.#told.set(frame, told = { name, place, caller: `${CALLED_BY} ${name}${place && ` ${place}`}` });
    }
    return told;
  }

  #fit(name: string, width: number): string {
    if (name.length <= width) return name;
    const key = `${width} ${name}`;
    let fitted = this.#fitted.get(key);
    if (fitted === undefined) this.#fitted.set(key, fitted = fitName(name, width));
    return fitted;
  }

  /** `\u2190 f a.c:3 \u2190 \u2026 \u2190 main a.c:9` in so many columns: the middle goes. */
  callers(callers: readonly NamedFrame[]): string {
    const room = this.#options.callersWidth;
    const last = callers.at(-1);
    if (!last) return "";
    const one = (frame: NamedFrame, width: number) => {
      const { name, place, caller } = this.#tell(frame);
      if (caller.length <= width) return caller;
      const where = place && ` ${place}`;
      return `${CALLED_BY} ${this.#fit(name, Math.max(LEAST, width - 2 - where.length))}${where}`;
    };
    const end = one(last, callers.length > 1 ? Math.floor(room / 2) : room);
    let text = "";
    for (let i = 0; i < callers.length - 1; i++) {
      const rest = i < callers.length - 2 ? ` ${CALLED_BY} \u2026 `.length : 1;
      const left = room - text.length - end.length - rest;
      const next = one(callers[i] as NamedFrame, Math.max(2 * LEAST, left));
      if (next.length > left) return clip(`${text}${CALLED_BY} \u2026 ${end}`, room);
      text += `${next} `;
    }
    return clip(text + end, room);
  }

  /** What a row says of a stack, innermost frame first. */
  say({ lead, via, callers }: Lead): Pick<Row, "name" | "place" | "via" | "callers"> {
    const { width, wholeFiles } = this.#options;
    const { name, place } = this.#tell(lead);
    const where = place || (lead?.function && lead.module ? printable(shortPath(lead.module, wholeFiles)) : "");
    const through = via ? this.#tell(via).name : "";
    const rest = width - (where ? where.length + 1 : 0);
    // Where both cannot be whole, what the user wrote comes first.
    const both = Math.max(2 * LEAST, rest - "  via ".length);
    const nameRoom = through ? both - Math.min(through.length, LEAST) : Math.max(LEAST, rest);
    const fitted = this.#fit(name, nameRoom);
    return {
      name: fitted,
      place: rest < LEAST ? middleOut(where, Math.max(LEAST, width - LEAST - 1)) : where,
      via: through ? `  via ${this.#fit(through, Math.max(LEAST, both - fitted.length))}` : "",
      callers: this.callers(callers),
    };
  }
}

/** What a row tells of a call path. */
function leadIn(path: CallPath, symbols: Symbols, { raw, callersWidth }: RowOptions): Lead {
  if (raw) {
    const [lead, ...callers] = symbols.stack(path);
    return { lead, via: undefined, callers };
  }
  // A caller takes four columns at least.
  return leadOfPath(path, symbols, callersWidth / 4);
}

/** The rows of call paths, whose names must have been resolved, in the order of the first of each. */
export function rowsOf(paths: Iterable<CallPath>, symbols: Symbols, options: RowOptions): Row[] {
  type Growing = { figures: PathTotals; sizes: Sizes | undefined; lifetimes: Lifetimes | undefined };
  const rows = new Map<string, Row & Growing>();
  const sayer = new Rows(options);
  for (const path of paths) {
    const { end, sizes, lifetimes } = path;
    const said = sayer.say(leadIn(path, symbols, options));
    const key = options.apart ? String(path.id) : `${said.name}\0${said.place}\0${said.via}\0${said.callers}\0${end}`;
    let row = rows.get(key);
    if (row) {
      row.sizes = combineSizes(row.sizes, sizes);
      row.lifetimes = combineLifetimes(row.lifetimes, lifetimes);
    } else rows.set(key, row = { ...said, end, path, figures: new PathTotals(), sizes, lifetimes });
    row.figures.add(path);
  }
  return [...rows.values()];
}
