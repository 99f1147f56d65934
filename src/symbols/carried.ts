/** Names inside a recording, so that it opens on a machine without the programs that it is about. */
import { zlib } from "../file/builtin.ts";
import type { Frame, Profile } from "../profile/profile.ts";
import type { Name } from "./backend.ts";

/** Names by `module:address`, innermost first: function, file, line. */
export type Carried = Record<string, readonly (readonly [string, string, number])[]>;

/** More than any program's names; a hostile file must not unpack to more. */
const MOST_BYTES = 1 << 29;

/** The key of a frame. */
export function keyOf(frame: Frame): string {
  const age = frame.age === undefined ? "" : `@${frame.age.toString(16)}`;
  return `${frame.module}:${frame.address.toString(16)}${age}`;
}

/** A look-up of the names that a profile's recording carries; undefined when it carries none that can be read. */
export function carriedNames(profile: Profile): ((frame: Frame) => Name[] | undefined) | undefined {
  if (!profile.names) return undefined;
  let carried: Carried;
  try {
    carried = JSON.parse(new TextDecoder().decode(zlib().gunzipSync(profile.names, { maxOutputLength: MOST_BYTES })));
  } catch {
    return undefined;
  }
  if (typeof carried !== "object" || carried === null) return undefined;
  return (frame) => {
    const key = keyOf(frame);
    const names = Object.hasOwn(carried, key) ? carried[key] : undefined;
    if (!Array.isArray(names)) return undefined;
    return names.filter(Array.isArray).map(([fn, file, line], i): Name => ({
      function: String(fn ?? ""),
      file: String(file ?? ""),
      line: Number(line) || 0,
      inlined: i < names.length - 1,
    }));
  };
}
