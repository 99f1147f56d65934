/**
 * Names of JavaScript functions on Node, without a flag at its start: its program exports V8's own interface, by which the isolate of the
 * calling thread tells of each piece of code that it makes. The library (`ffi/api.c`) writes that where V8 would with --perf-basic-prof, and
 * what reads such maps reads this one.
 */
import { closeSync, openSync, readFileSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import process from "node:process";
import { setFlagsFromString } from "node:v8";
import { runInThisContext } from "node:vm";
import { isMainThread } from "node:worker_threads";
import { mayRead, variable } from "./ffi.ts";
import { V8_FLAGS } from "./v8_flags.ts";

/** What is used of `node:ffi`. */
interface Ffi {
  dlopen(
    path: null,
    definitions: unknown,
  ): { readonly functions: Readonly<Record<string, (...values: unknown[]) => unknown>> };
}

const CURRENT = "_ZN2v87Isolate10GetCurrentEv";
const SET = "_ZN2v87Isolate22SetJitCodeEventHandlerENS_19JitCodeEventOptionsEPFvPKNS_12JitCodeEventEE";
/** `kJitCodeEventEnumExisting`: code that is there already is told too. */
const EXISTING = 1;

/** What a sentence about missing names begins with. */
export const NO_NAMES = "names of JavaScript functions: ";

const mapPath = () => `/tmp/perf-${process.pid}.map`;

/** Whether V8 writes the map by itself. */
function writesItself(): boolean {
  const given = [...process.execArgv, variable("NODE_OPTIONS"), variable("DENO_V8_FLAGS")].join(" ");
  if (/--perf[-_]basic[-_]prof/.test(given)) return true;
  return !made && mayRead(mapPath()) && statSync(mapPath(), { throwIfNoEntry: false }) !== undefined;
}

/** Whether the map was made here. */
let made = false;

/** Makes the map, empty: one of an earlier process of that number goes. */
function makeMap(): void {
  if (isMainThread) rmSync(mapPath(), { force: true });
  closeSync(openSync(mapPath(), isMainThread ? "wx" : "a", 0o600));
  made = true;
}

/**
 * Has the engine of this thread tell names from now on, and those of what it has compiled already. `keep` leaves the map behind when the
 * process ends, for whoever reads its recording later.
 *
 * @param handler What `heaptap_code_events` gave.
 * @returns Why there are none, a sentence; "" when there are.
 */
export function tellNames(handler: unknown, keep: boolean): string {
  if ("Bun" in globalThis) return `${NO_NAMES}Bun does not tell them`;
  if ("Deno" in globalThis) {
    return writesItself() ? "" : `${NO_NAMES}Deno tells them from its start on, with --v8-flags=${V8_FLAGS.join(",")}`;
  }
  if (isMainThread && writesItself()) return "";
  let set: ((handler: unknown, option: number) => void) | undefined;
  try {
    const { dlopen } = createRequire(import.meta.url)("node:ffi") as Ffi;
    const { functions } = dlopen(null, {
      [CURRENT]: { arguments: [], return: "pointer" },
      [SET]: { arguments: ["pointer", "int32", "pointer"], return: "void" },
    });
    const isolate = functions[CURRENT]?.();
    set = (handler, option) => void functions[SET]?.(isolate, option, handler);
    makeMap();
    // Interpreted functions get frames of their own, and code stays where it is told to be.
    setFlagsFromString("--interpreted-frames-native-stack");
    setFlagsFromString("--no-compact-code-space");
    set(handler, EXISTING);
    const probe = `heaptapProbe${process.pid}${Date.now()}`;
    runInThisContext(`(function ${probe}() {})()`);
    if (!readFileSync(mapPath(), "latin1").includes(probe)) throw new Error("its engine tells them in another form");
  } catch (error) {
    set?.(0n, 0);
    if (made) rmSync(mapPath(), { force: true });
    made = false;
    const why = (error as Error).message.split("\n")[0];
    return `${NO_NAMES}this Node does not tell them (${why}); start it with ${V8_FLAGS.join(" ")}`;
  }
  if (isMainThread && !keep) process.on("exit", () => rmSync(mapPath(), { force: true }));
  return "";
}
