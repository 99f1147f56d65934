/**
 * Demangles what a symboliser left mangled (eu-addr2line Rust's v0 names, llvm-symbolizer 14 some of libstdc++'s, symbol
 * tables all), by gecko-profiler-demangle, the Firefox profiler's demangler for C++ and Rust. heaptap works by path without
 * packages: where it is not installed such names stay as they are.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ownPackage } from "../file/own_folder.ts";

/** What begins a mangled name: C++ and legacy Rust, Rust v0, D, Swift. */
const MANGLED = /^_{0,2}(?:Z|R|D)[A-Z0-9]|^_?\$s/;

interface Glue {
  demangle_any(name: string): string;
  __wbg_set_wasm(exports: WebAssembly.Exports): void;
}

/** Runs what takes memory. */
type Within = <T>(part: () => T) => T;

let loading: Promise<void> | undefined;
let demangleAny: ((name: string) => string) | undefined;

async function load(within: Within): Promise<void> {
  try {
    const folder = ownPackage("gecko-profiler-demangle");
    const glue = await import(pathToFileURL(join(folder, "index_bg.js")).href) as Glue;
    // Not as the package loads it: not every runtime imports WebAssembly.
    const bytes = readFileSync(join(folder, "index_bg.wasm"));
    // Compiled by other threads; what is made of it here is heaptap's own in a script's process.
    const module = await within(() => WebAssembly.compile(bytes));
    within(() => {
      const instance = new WebAssembly.Instance(module, {
        "./index_bg.js": glue as unknown as WebAssembly.ModuleImports,
      });
      glue.__wbg_set_wasm(instance.exports);
      (instance.exports.__wbindgen_start as () => void)();
      demangleAny = glue.demangle_any;
    });
  } catch {
    // Not installed, or not to be read: names stay mangled.
  }
}

/** Whether a name is mangled, as far as its beginning tells. */
export function isMangled(name: string): boolean {
  return MANGLED.test(name);
}

/** Makes {@linkcode demangle} ready; to be awaited before the first mangled name is read. `within` runs what takes memory. */
export function readyToDemangle(within: Within = (part) => part()): Promise<void> {
  return loading ??= load(within);
}

/** The demangled name; as much as is certain of one that cannot be demangled, itself when that is nothing. */
export function demangle(name: string): string {
  if (!isMangled(name)) return name;
  // What it does not know it gives back, one underscore less.
  const answer = demangleAny?.(name) ?? name;
  return answer === name.slice(1) || answer === name ? qualifiedName(name) ?? name : answer;
}

/**
 * The qualified name that a C++ name begins with, where every part of it is spelled out: `_ZSt11make_sharedI…` is
 * `std::make_shared<…>`, whatever its arguments are. Undefined when it begins in another way.
 */
function qualifiedName(name: string): string | undefined {
  const head = /^_ZN?[KVrRO]*(St)?((?:L?\d+)?.*)$/.exec(name);
  let rest = head?.[2] ?? "";
  const parts = head?.[1] ? ["std"] : [];
  for (let size; (size = /^L?(\d+)/.exec(rest)) && Number(size[1]) <= rest.length - size[0].length;) {
    const end = size[0].length + Number(size[1]);
    parts.push(rest.slice(size[0].length, end).replace(/^_GLOBAL__N_.*$/, "(anonymous namespace)"));
    rest = rest.slice(end).replace(/^B\d+[a-z]\w*?(?=[EI\d])/, "");
  }
  if (parts.length < (head?.[1] ? 2 : 1) || !/^[IEvLNSP]/.test(rest)) return undefined;
  // Within a nested name more parts may follow the arguments, which are not read: then its last part is not known.
  if (name.startsWith("_ZN") && !rest.startsWith("E")) return undefined;
  return parts.join("::") + (rest.startsWith("I") ? "<\u2026>" : "");
}
