/** The environment variables that the library reads, checked before a program starts. */

/** What a variable may hold, in words and as a test. */
const VARIABLES: Readonly<Record<string, readonly [string, (value: string) => boolean]>> = {
  HEAPTAP_BUCKETS: ["a whole number from 64 to 1048576; 65536 is used", (v) => inRange(v, 64, 1048576)],
  HEAPTAP_DEPTH: ["a whole number from 4 to 1024; 128 is used", (v) => inRange(v, 4, 1024)],
  HEAPTAP_MODE: ["counters or paths; paths is used", (v) => v === "counters" || v === "paths"],
  HEAPTAP_PEAK: ["batched or exact; batched is used", (v) => v === "batched" || v === "exact"],
};

function inRange(text: string, low: number, high: number): boolean {
  return /^\d+$/.test(text) && Number(text) >= low && Number(text) <= high;
}

/**
 * A line for each variable whose value the library will not be able to read.
 *
 * @example
 * ```ts
 * import { checkVariables } from "./mod.ts";
 *
 * console.log(checkVariables({ HEAPTAP_BUCKETS: "many" }).length); // 1
 * ```
 */
export function checkVariables(env: NodeJS.ProcessEnv): string[] {
  return Object.entries(VARIABLES).flatMap(([name, [meaning, fits]]) => {
    const value = env[name];
    return value && !fits(value) ? [`${name}=${value} cannot be read: it takes ${meaning}`] : [];
  });
}
