/** Names of what a live view shows: looked up beside it, for what is asked of them alone. Until then a frame is told by its address. */
import type { Look } from "../profile/looks.ts";
import type { CallPath, Frame } from "../profile/profile.ts";
import { leadFrame, leadOfPath } from "../symbols/lead.ts";
import type { Lead } from "../symbols/lead.ts";
import { frameMatches, frameName } from "../symbols/named_frame.ts";
import { Symbols } from "../symbols/symbols.ts";
import type { NamedFrame } from "../symbols/named_frame.ts";
import type { SymbolOptions } from "../symbols/symbols.ts";
import type { LiveView } from "./state.ts";

/** What is in no group yet. */
const UNNAMED = "\u2026";

/** The names of one recording. */
export class Names {
  readonly #symbols: Symbols;
  /** Call paths whose frames were looked up, and those of them that there is no more to know of. */
  readonly #asked = new Set<number>();
  readonly #known = new Set<number>();
  readonly #groups = new Map<LiveView, Map<number, string>>();
  #pattern: RegExp | undefined;
  readonly #frames = new Map<Frame, boolean>();
  readonly #matching = new Map<number, boolean>();

  /** Of the recording of this look; nothing is looked up yet. */
  constructor(look: Look, options: SymbolOptions = {}) {
    this.#symbols = new Symbols(look.profile, options);
  }

  /**
   * Looks up names of these call paths; resolves to whether there was anything to look up. Code whose compiler may name it later is asked
   * about again where it is among those that are `shown`, no more of the others.
   */
  async learn(look: Look, shown: Iterable<number>, others: Iterable<number> = []): Promise<boolean> {
    const unknown = new Set([...shown].filter((id) => !this.#known.has(id)));
    for (const id of others) if (!this.#asked.has(id)) unknown.add(id);
    if (unknown.size === 0) return false;
    this.#symbols.follow(look.profile);
    const paths = Array.from(unknown, (id) => look.path(id));
    await this.#symbols.resolve(paths);
    for (const { id, stack } of paths) {
      this.#asked.add(id);
      if (stack.every((frame) => frame.module >= 0 || this.#symbols.names(frame).length > 0)) this.#known.add(id);
    }
    this.#forget();
    return true;
  }

  #forget(): void {
    this.#frames.clear();
    this.#matching.clear();
  }

  /** What a row says of a call path: see {@linkcode leadOfPath}; before it was looked up the place alone that called the allocator. */
  lead(path: CallPath, callers: number): Lead {
    if (this.#asked.has(path.id)) return leadOfPath(path, this.#symbols, callers);
    const [frame] = path.stack;
    return { lead: frame && this.#symbols.frames(frame)[0], via: undefined, callers: [] };
  }

  /** The frames of a call path, innermost first. */
  stack(path: CallPath): NamedFrame[] {
    return this.#symbols.stack(path);
  }

  /** Whether a frame of a call path matches. */
  matches(look: Look, id: number, pattern: RegExp): boolean {
    if (pattern !== this.#pattern) this.#forget();
    this.#pattern = pattern;
    let matches = this.#matching.get(id);
    if (matches === undefined) {
      matches = look.path(id).stack.some((frame) => {
        let found = this.#frames.get(frame);
        if (found === undefined) {
          found = this.#symbols.frames(frame).some((named) => frameMatches(named, pattern));
          this.#frames.set(frame, found);
        }
        return found;
      });
      this.#matching.set(id, matches);
    }
    return matches;
  }

  /** The name of the group that a call path is in. */
  group(look: Look, id: number, view: LiveView): string {
    let groups = this.#groups.get(view);
    if (!groups) this.#groups.set(view, groups = new Map());
    let group = groups.get(id);
    if (group !== undefined) return group;
    if (view !== "operations" && !this.#asked.has(id)) return UNNAMED;
    const path = look.path(id);
    const frame = view === "operations" ? undefined : leadFrame(path, this.#symbols);
    group = view === "operations"
      ? path.operation ?? "(none)"
      : view === "modules"
      ? frame?.module || "JIT code"
      : frameName(frame);
    if (view === "operations" || this.#known.has(id)) groups.set(id, group);
    return group;
  }

  /** Ends what looks names up. */
  [Symbol.dispose](): void {
    this.#symbols[Symbol.dispose]();
  }
}
