/** What this process was started with that its runtime cannot hand on: text that is not UTF-8. */
import { readFileSync } from "node:fs";

/** The entries of one of the kernel's lists that are not UTF-8, as far as they can be shown. */
function unsayable(path: string): string[] {
  let list: Uint8Array;
  try {
    list = readFileSync(path);
  } catch {
    return [];
  }
  const strict = new TextDecoder("utf-8", { fatal: true });
  const found: string[] = [];
  for (let at = 0; at < list.length;) {
    const zero = list.indexOf(0, at);
    const entry = list.subarray(at, zero < 0 ? list.length : zero);
    try {
      strict.decode(entry);
    } catch {
      found.push(new TextDecoder().decode(entry));
    }
    at += entry.length + 1;
  }
  return found;
}

/**
 * What a program that this process starts would get otherwise than it was given: arguments and environment variables
 * that are not UTF-8, which the runtimes change or drop.
 *
 * @example
 * ```ts
 * import { notInherited } from "./mod.ts";
 *
 * console.log(notInherited()); // { arguments: [], variables: [] }
 * ```
 */
export function notInherited(): { readonly arguments: readonly string[]; readonly variables: readonly string[] } {
  return {
    arguments: unsayable("/proc/self/cmdline"),
    variables: unsayable("/proc/self/environ").map((entry) => entry.split("=")[0] ?? ""),
  };
}
