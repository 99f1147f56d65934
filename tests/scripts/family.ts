/** Runs a target's main as a function of this process, with heaptap's hooks inside: family.ts LIBRARY RECORDING. */
import process from "node:process";
import { createRequire } from "node:module";
import { install } from "../../mod.ts";

const [library = "", out = ""] = process.argv.slice(2);
install({ out });
let status: number;
if ("Deno" in globalThis) {
  const { symbols } = Deno.dlopen(library, { main: { parameters: ["i32", "buffer"], result: "i32" } } as const);
  status = symbols.main(1, new BigUint64Array(2));
} else {
  const ffi = createRequire(import.meta.url)("bun:ffi");
  const { symbols } = ffi.dlopen(library, { main: { args: ["i32", "ptr"], returns: "i32" } });
  status = symbols.main(1, new BigUint64Array(2));
}
process.exitCode = status;
