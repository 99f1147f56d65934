/** The C library inside this process: what it exports (`ffi/api.c`), opened. */
import { readFileSync } from "node:fs";
import process from "node:process";
import { compiledLibrary, LibraryError, missingPermission, preloadedLibraries } from "./build.ts";
import { mayRead, openLibrary, whyNoLibraries } from "./ffi.ts";
import type { NativeLibrary } from "./ffi.ts";
import { isMusl } from "./musl.ts";

const SIGNATURES = {
  /** out, buckets, depth, mode, exact peak, sizes, lifetimes, sample, slots[2] */
  heaptap_install: [["buffer", "u32", "u32", "u32", "u32", "u32", "u32", "u32", "buffer"], "i32"],
  heaptap_recording: [[], "pointer"],
  heaptap_figures: [[], "pointer"],
  heaptap_thread: [[], "u32"],
  heaptap_process: [[], "u32"],
  heaptap_threads: [[], "void"],
  /** on */
  heaptap_pause: [["u32"], "void"],
  /** name */
  heaptap_operation: [["buffer"], "u32"],
  /** operation */
  heaptap_operate: [["u32"], "u32"],
  heaptap_code_events: [[], "pointer"],
  heaptap_own_begin: [[], "void"],
  heaptap_own_end: [[], "void"],
} as const;

/** The library's functions, and a way to look at the memory that they point to. */
export type Library = NativeLibrary<keyof typeof SIGNATURES>;

/** Stands for "not said" where the library takes a number. */
export const UNSET = 0xffffffff;

/** What is mapped in this process; nothing where that may not be read: Deno, which is on glibc. */
function ownMaps(): string {
  try {
    return mayRead("/proc/self/maps") ? readFileSync("/proc/self/maps", "utf8") : "";
  } catch {
    return "";
  }
}

/**
 * Opens the library in this process: the file named, the one that is preloaded already, or the one in
 * the cache, which is compiled on first use.
 *
 * @throws {LibraryError} when it cannot be had or opened.
 */
export function openOwnLibrary(path?: string): Library {
  const why = whyNoLibraries();
  if (why) throw new LibraryError(`Cannot load the library: ${why}`);
  let file = path === undefined ? "the library" : `"${path}"`;
  try {
    // The recording of the one that heaptap run preloaded is the one to join.
    const found = path ?? preloadedLibraries(process.env)[0] ?? compiledLibrary(isMusl(ownMaps()) ? "late" : "early");
    file = `"${found}"`;
    return openLibrary(found, SIGNATURES);
  } catch (cause) {
    if (cause instanceof LibraryError) throw cause;
    const why = missingPermission(cause);
    if (why) throw new LibraryError(`Cannot load ${file}: ${why}`, { cause });
    throw new LibraryError(`Cannot load ${file}: ${(cause as Error).message.split("\n")[0]}`, { cause });
  }
}
