/** File capabilities: what `setcap` gave a program. */
import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { findInPath } from "./build.ts";
import { mayOpenLibraries, openLibrary } from "./ffi.ts";

/** The kernel's largest form of the attribute. */
const LARGEST = 24;
const EFFECTIVE = 1;

/** Reads the attribute by the C library; undefined when this runtime cannot, or may not, call that. */
function attribute(path: string): DataView | undefined {
  if (!mayOpenLibraries()) return undefined;
  try {
    const { functions } = openLibrary("libc.so.6", { getxattr: [["buffer", "buffer", "buffer", "u32"], "i32"] });
    const value = new Uint8Array(LARGEST);
    const text = (s: string) => Buffer.from(`${s}\0`);
    const length = Number(functions.getxattr(text(path), text("security.capability"), value, LARGEST));
    return new DataView(value.buffer, 0, Math.max(0, length));
  } catch {
    return undefined;
  }
}

/** The same by the tool of libcap, which prints `PATH cap_net_raw=ep`, and nothing when there is none. */
function byTool(path: string): boolean {
  const tool = findInPath("getcap", `${process.env.PATH ?? ""}:/usr/sbin:/sbin`);
  if (!tool) return false;
  const said = spawnSync(tool, ["--", path], { encoding: "utf8" }).stdout ?? "";
  // Inherited ones alone change nothing for a process that has none to inherit.
  return said.split("\n").some((line) => line.startsWith(path) && /=\w*[ep]|\+\w*[ep]/.test(line.slice(path.length)));
}

/** Whether the kernel gives a program capabilities by its file, for which the dynamic linker then ignores LD_PRELOAD. */
export function hasCapabilities(path: string): boolean {
  // To root a file gives nothing that it has not.
  if (process.getuid?.() === 0) return false;
  const found = attribute(path);
  if (!found) return byTool(path);
  if (found.byteLength < 12) return false;
  const permitted = [4, 12].some((at) => at + 4 <= found.byteLength && found.getUint32(at, true) !== 0);
  return permitted || (found.getUint32(0, true) & EFFECTIVE) !== 0;
}
