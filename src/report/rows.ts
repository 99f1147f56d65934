/** Call paths as rows of a report: those that read the same are one. */
import { combineSizes } from "../profile/sizes.ts";
import type { CallPath, PathCounters, Sizes, StackEnd } from "../profile/profile.ts";
import { clip, printable } from "../profile/format.ts";
import { addPaths } from "../judge/grouped.ts";
import { leadOf } from "../symbols/lead.ts";
import { fitName, middleOut } from "../symbols/names.ts";
import { frameName, shortPath, sourcePlace } from "../symbols/symbols.ts";
import type { NamedFrame, Symbols } from "../symbols/symbols.ts";

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
  /** The frames themselves, of the first of the call paths. */
  readonly stack: readonly NamedFrame[];
  readonly figures: PathCounters;
  readonly sizes: Sizes | undefined;
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

function place(frame: NamedFrame | undefined, whole: boolean): string {
  if (!frame) return "";
  return printable(sourcePlace(frame, whole) || (frame.function && frame.module ? shortPath(frame.module, whole) : ""));
}

/** `← f a.c:3 ← … ← main a.c:9` in so many columns: the middle goes. */
function callerLine(callers: readonly NamedFrame[], options: RowOptions): string {
  const told = callers.filter((frame, i) => frame.function !== callers[i - 1]?.function || frame.function === "")
    .map((frame) => {
      const where = printable(sourcePlace(frame, options.wholeFiles));
      return { name: printable(frameName(frame)), where: where && ` ${where}` };
    });
  const room = options.callersWidth;
  const one = (caller: { name: string; where: string }, width: number) =>
    `\u2190 ${fitName(caller.name, Math.max(LEAST, width - 2 - caller.where.length))}${caller.where}`;
  const whole = told.map((caller) => one(caller, Infinity)).join(" ");
  if (whole.length <= room || told.length === 0) return whole;
  const last = told.length > 1 ? one(told.at(-1)!, Math.floor(room / 2)) : "";
  const kept: string[] = [];
  let left = room - last.length - (last ? " \u2190 \u2026 ".length : 0);
  for (const caller of told.slice(0, last ? -1 : undefined)) {
    const text = one(caller, Math.max(LEAST * 2, left - 1));
    if (text.length + 1 > left) break;
    kept.push(text);
    left -= text.length + 1;
  }
  if (!last) return clip(kept.join(" ") || one(told[0]!, room), room);
  const gap = kept.length < told.length - 1 ? ["\u2190 \u2026"] : [];
  return clip([...kept, ...gap, last].join(" "), room);
}

function say(stack: readonly NamedFrame[], options: RowOptions): Pick<Row, "name" | "place" | "via" | "callers"> {
  const told = options.raw ? { lead: stack[0], via: undefined, callers: stack.slice(1) } : leadOf(stack);
  const where = place(told.lead, options.wholeFiles);
  const name = printable(frameName(told.lead));
  const through = told.via ? printable(frameName(told.via)) : "";
  const rest = options.width - (where ? where.length + 1 : 0);
  // Where both cannot be whole, what the user wrote gets the larger part.
  const both = Math.max(2 * LEAST, rest - "  via ".length);
  const lead = fitName(name, through ? Math.max(both - through.length, Math.ceil(both * 0.55)) : Math.max(LEAST, rest));
  const via = through ? `  via ${fitName(through, Math.max(LEAST, both - lead.length))}` : "";
  return {
    name: lead,
    place: rest < LEAST ? middleOut(where, Math.max(LEAST, options.width - LEAST - 1)) : where,
    via,
    callers: callerLine(told.callers, options),
  };
}

/** The rows of call paths, whose names must have been resolved, in the order of the first of each. */
export function rowsOf(paths: Iterable<CallPath>, symbols: Symbols, options: RowOptions): Row[] {
  const rows = new Map<string, Row>();
  for (const path of paths) {
    const stack = symbols.stack(path);
    const said = say(stack, options);
    const key = options.apart ? String(path.id) : [said.name, said.place, said.via, said.callers, path.end].join("\0");
    const known = rows.get(key);
    const { end, sizes } = path;
    rows.set(
      key,
      known
        ? { ...known, figures: addPaths(known.figures, path), sizes: combineSizes(known.sizes, sizes) }
        : { ...said, end, stack, figures: path, sizes },
    );
  }
  return [...rows.values()];
}
