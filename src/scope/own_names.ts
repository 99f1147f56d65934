/** Names of this process's frames. They are kept: the next report looks up what is new alone. */
import type { Frame } from "../profile/profile.ts";
import type { Reading } from "../profile/read.ts";
import { Symbols } from "../symbols/symbols.ts";
import { own } from "./install.ts";
import type { Stops } from "./rows.ts";

let symbols: Symbols | undefined;
let latest: Reading | undefined;
/** Reports whose look-ups are under way: the last one ends the tools. */
let users = 0;

/** From how many places one is called that stands among the three innermost frames, as the latest reading has it. */
let callers: { readonly of: Reading; readonly places: ReadonlyMap<Frame, ReadonlySet<Frame>> } | undefined;

function callersOf(place: Frame): number {
  if (!latest) return 0;
  if (callers?.of !== latest) {
    const places = new Map<Frame, Set<Frame>>();
    const { nodes, used } = latest;
    const seen = new Uint8Array(nodes.length);
    for (const id of used) {
      for (let node = nodes.leaf(id), at = 0; at < 3; at++) {
        const parent = nodes.parent(node);
        if (!nodes.isFrame(parent) || seen[node]) break;
        seen[node] = 1;
        const inner = nodes.frame(node);
        let known = places.get(inner);
        if (!known) places.set(inner, known = new Set());
        known.add(nodes.frame(parent));
        node = parent;
      }
    }
    callers = { of: latest, places };
  }
  return callers.places.get(place)?.size ?? 0;
}

/**
 * Looks up the names of frames of a reading; `interrupted` are those that a signal handler stands on. Gives what knows them.
 */
export async function nameFrames(
  reading: Reading,
  { frames, interrupted }: Pick<Stops, "frames" | "interrupted">,
): Promise<Symbols> {
  const known = own(() => {
    latest = reading;
    symbols ??= new Symbols(reading.profile, { thorough: false, within: (part) => own(part), callers: callersOf });
    symbols.follow(reading.profile);
    return symbols;
  });
  users++;
  try {
    await known.resolveFrames(frames, interrupted);
    return known;
  } finally {
    if (--users === 0) known.rest();
  }
}
