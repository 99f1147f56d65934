/**
 * Modules of the runtime that few commands need, loaded when they are: together they take 7 to 10 ms of a start, on Deno as on Bun, which is as
 * long as all that heaptap itself does for a short program.
 */
import process from "node:process";

/** Compression. */
export const zlib = (): typeof import("node:zlib") => process.getBuiltinModule("node:zlib");

/** Hashes. */
export const nodeCrypto = (): typeof import("node:crypto") => process.getBuiltinModule("node:crypto");

/** Finds and loads what a module by that address would, at once. */
export const requireFrom = (url: string): NodeJS.Require => process.getBuiltinModule("node:module").createRequire(url);
