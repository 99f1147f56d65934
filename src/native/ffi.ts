/** The foreign function interfaces of Deno, Bun and Node behind one shape: open, call, look at memory. */
import process from "node:process";
import { requireFrom } from "../file/builtin.ts";

/** What a C parameter or result is. `buffer` is a typed array whose memory the function sees; `pointer` only a result. */
export type NativeType = "u32" | "i32" | "buffer" | "pointer" | "void";

/** The functions that are wanted of a library: parameters, then the result. */
export type Signatures = Readonly<Record<string, readonly [parameters: readonly NativeType[], result: NativeType]>>;

/** A function of a library. A pointer comes back as a value of the runtime's own, for {@linkcode NativeLibrary.view}. */
export type NativeFunction = (...values: (number | Uint8Array | Uint32Array)[]) => unknown;

/** An open library. It stays open: the process may be inside it at any time. */
export interface NativeLibrary<Names extends string> {
  readonly functions: Readonly<Record<Names, NativeFunction>>;
  /** Memory at a pointer, not a copy. Undefined for a null pointer. */
  view(pointer: unknown, size: number): ArrayBuffer | undefined;
}

/** What we use of Deno, of Bun and of Node's newest: said here, so that no runtime's project needs types of another's. */
interface DenoNamespace {
  readonly version: { readonly deno: string };
  dlopen(path: string, definitions: unknown): { readonly symbols: unknown };
  readonly permissions: {
    querySync(
      wanted:
        | { readonly name: "ffi" }
        | { readonly name: "env"; readonly variable: string }
        | { readonly name: "read" | "write"; readonly path: string },
    ): {
      readonly state: string;
    };
  };
  readonly UnsafePointerView: { getArrayBuffer(pointer: unknown, size: number): ArrayBuffer };
}
interface BunFfi {
  dlopen(path: string, definitions: unknown): { readonly symbols: unknown };
  toArrayBuffer(pointer: unknown, offset: number, size: number): ArrayBuffer;
}
interface NodeFfi {
  dlopen(path: string, definitions: unknown): { readonly lib: unknown; readonly functions: unknown };
  toArrayBuffer(pointer: unknown, size: number, copy: false): ArrayBuffer;
}
const { Deno: deno, Bun: bun } = globalThis as {
  readonly Deno?: DenoNamespace;
  readonly Bun?: { readonly version: string };
};

function openDeno(deno: DenoNamespace, path: string, signatures: Signatures): NativeLibrary<string> {
  const definitions = Object.fromEntries(
    Object.entries(signatures).map(([name, [parameters, result]]) => [name, { parameters, result }]),
  );
  return {
    functions: deno.dlopen(path, definitions).symbols as Record<string, NativeFunction>,
    view: (pointer, size) => pointer === null ? undefined : deno.UnsafePointerView.getArrayBuffer(pointer, size),
  };
}

function openBun(path: string, signatures: Signatures): NativeLibrary<string> {
  const ffi = requireFrom(import.meta.url)("bun:ffi") as BunFfi;
  const type = { u32: "u32", i32: "i32", buffer: "ptr", pointer: "ptr", void: "void" } as const;
  const definitions = Object.fromEntries(
    Object.entries(signatures).map(([name, [parameters, result]]) => [
      name,
      { args: parameters.map((p) => type[p]), returns: type[result] },
    ]),
  );
  return {
    functions: ffi.dlopen(path, definitions).symbols as Record<string, NativeFunction>,
    view: (pointer, size) => pointer ? ffi.toArrayBuffer(pointer, 0, size) : undefined,
  };
}

/** Libraries that Node has opened: it closes those that nothing refers to. */
const opened: unknown[] = [];

function openNode(ffi: NodeFfi, path: string, signatures: Signatures): NativeLibrary<string> {
  const type = { u32: "uint32", i32: "int32", buffer: "buffer", pointer: "pointer", void: "void" } as const;
  const definitions = Object.fromEntries(
    Object.entries(signatures).map(([name, [parameters, result]]) => [
      name,
      { arguments: parameters.map((p) => type[p]), return: type[result] },
    ]),
  );
  const { lib, functions } = ffi.dlopen(path, definitions);
  opened.push(lib);
  return {
    functions: functions as Record<string, NativeFunction>,
    view: (pointer, size) => pointer ? ffi.toArrayBuffer(pointer, size, false) : undefined,
  };
}

/** Node's interface, where it has one and was told to let it be used. */
function nodeFfi(): NodeFfi | undefined {
  try {
    return process.allowedNodeEnvironmentFlags.has("--experimental-ffi")
      ? requireFrom(import.meta.url)("node:ffi") as NodeFfi
      : undefined;
  } catch {
    return undefined;
  }
}

/** The runtime that this is, with its version: `Deno 2.9.5`. */
export function runtimeName(): string {
  return deno ? `Deno ${deno.version.deno}` : bun ? `Bun ${bun.version}` : `Node ${process.versions.node}`;
}

/** Why libraries cannot be opened here at all, and what to do about it; "" when they can. */
export function whyNoLibraries(): string {
  if (deno || bun || nodeFfi()) return "";
  return process.allowedNodeEnvironmentFlags.has("--experimental-ffi")
    ? "Node opens libraries with --experimental-ffi only (NODE_OPTIONS=--experimental-ffi does too)"
    : `${runtimeName()} cannot open libraries: use Node 26.1 or later with --experimental-ffi, Deno or Bun, or heaptap run`;
}

/** Whether libraries can be opened here without a question: Deno asks on a terminal for what it was not allowed. */
export function mayOpenLibraries(): boolean {
  return deno ? deno.permissions.querySync({ name: "ffi" }).state === "granted" : whyNoLibraries() === "";
}

function may(name: "read" | "write", path: string): boolean {
  return !deno || deno.permissions.querySync({ name, path }).state === "granted";
}

/** Whether a file may be read without a question on a terminal. */
export function mayRead(path: string): boolean {
  return may("read", path);
}

/** The same of one file, and of writing another. */
export function mayTouch(read: string, write: string): boolean {
  return may("read", read) && may("write", write);
}

/** An environment variable; nothing where Deno may not tell, which would ask on a terminal. */
export function variable(name: string): string | undefined {
  const known = !deno || deno.permissions.querySync({ name: "env", variable: name }).state === "granted";
  return known ? process.env[name] : undefined;
}

/** Opens a library. Throws what the runtime throws when it may not or cannot. */
export function openLibrary<S extends Signatures>(path: string, signatures: S): NativeLibrary<keyof S & string> {
  if (deno) return openDeno(deno, path, signatures);
  if (bun) return openBun(path, signatures);
  const ffi = nodeFfi();
  if (!ffi) throw new Error(whyNoLibraries());
  return openNode(ffi, path, signatures);
}
