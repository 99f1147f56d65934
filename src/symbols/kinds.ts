/**
 * Whose code a frame is. Reports lead with the user's own; what is between it and the allocator tells how it got there.
 */
import { basename, dirname } from "node:path";
import { isOwnModule } from "../file/own_folder.ts";
import type { Frame, Profile } from "../profile/profile.ts";
import { matches } from "../profile/select.ts";
import { isAllocationFunction, isWrapper } from "./allocation_functions.ts";

/**
 * What a frame is: an `allocation` function of an allocator or a language, a `wrapper` that only passes the program's
 * allocations on, the `standard` library of its language and what starts programs and threads, the `runtime` that interprets
 * or compiles it, another `system` or third party's library, the user's `own` code, or a `script` of the user's in a language
 * that a runtime runs.
 */
export type FrameKind = "allocation" | "wrapper" | "standard" | "runtime" | "system" | "own" | "script";

const KINDS: readonly FrameKind[] = ["allocation", "wrapper", "standard", "runtime", "system", "own", "script"];

/** Whether a module stands for a pool that the program has named (`HEAPTAP_POOL`): its path is what it is called, `pool strings`. */
export function isPool(module: string): boolean {
  return module.startsWith("pool ");
}

/** Whether a value names a kind. */
export function isFrameKind(value: unknown): value is FrameKind {
  return (KINDS as readonly unknown[]).includes(value);
}

/** Corrections of the guess whose code a frame is. They match as filters do: a function, a module's path, a source file. */
export interface KindOptions {
  /** The user's own code. */
  readonly own?: RegExp | undefined;
  /** Not the user's own code. */
  readonly notOwn?: RegExp | undefined;
  /** Functions that only pass allocations on, by name. */
  readonly allocationFunctions?: RegExp | undefined;
  /** From how many places one is called right above the allocator; counted over the profile's call paths when left out. */
  readonly callers?: ((place: Frame) => number) | undefined;
}

/**
 * Whether a frame is code that the user wrote.
 *
 * @example
 * ```ts
 * import { isOwn } from "./mod.ts";
 *
 * console.log(isOwn("own"), isOwn("script"), isOwn("standard")); // true true false
 * ```
 */
export function isOwn(kind: FrameKind): boolean {
  return kind === "own" || kind === "script";
}

/** A frame as far as its kind depends on it; the function by its readable name. */
interface Judged {
  readonly function: string;
  readonly module: string;
  readonly file: string;
}

/** Programs that run programs in languages of their own. */
const RUNTIME =
  /^(?:python[\d.]*|pypy[\d.]*|node(?:js)?|deno|bunx?|perl[\d.]*|ruby[\d.]*|j?irb|php(?:-fpm|-cgi)?[\d.]*|java|lua(?:jit)?[\d.-]*|julia|guile[\d.-]*|tclsh[\d.]*|beam\.smp|mono(?:-sgen)?|dotnet|ocamlrun|Rscript|R)(?:-linux-gnu|\.exe)?$/;
const RUNTIME_LIBRARY =
  /^lib(?:python|jvm|node|ruby|perl|v8|luajit|lua|php|mozjs|javascriptcore|coreclr|clrjit|mono|julia|tcl|guile|R\b)[\w.+-]*\.so/;
const STANDARD_LIBRARY =
  /^(?:ld-(?:linux|musl)[\w.-]*|ld-[\d.]+\.so|lib(?:c|m|pthread|dl|rt|stdc\+\+|c\+\+|c\+\+abi|gcc_s|gfortran|quadmath|gomp|objc|atomic|phobos2|druntime|go|unwind|resolv|nsl|util|anl|[atlu]b?san|hwasan)(?:-[\d.]+)?\.so[\w.]*|libc\.musl[\w.-]*|libstd-[0-9a-f]+\.so|linux-vdso\.so\.1|linux-gate\.so\.1|\[vdso\])$/;
/** Where distributions and package managers keep libraries. */
const SYSTEM_FOLDER =
  /^\/(?:usr\/(?:local\/)?)?lib(?:32|64|x32|exec)?\/|^\/(?:nix\/store|gnu\/store|snap|app\/lib|opt\/(?:rocm|intel|conda))\/|\/(?:site-packages|dist-packages|node_modules|\.cargo\/registry|conda\/lib|miniconda\d?\/lib|linuxbrew)\//;

/** Source files of standard libraries, and of others that are not the user's. */
const STANDARD_SOURCE =
  /\/include\/c\+\+\/|^\/rust\/deps\/|\/c\+\+\/v1\/|\/lib\/gcc\/[^/]+\/[\d.]+\/include\/|^\/rustc\/[0-9a-f]+\/|\/lib\/rustlib\/src\/|^\/?library\/(?:core|alloc|std|test|panic_unwind)\/|\/go\/src\/(?:runtime|internal)\/|^(?:node|ext|internal|bun):|^\[native code\]$|^<frozen |\/lib\/python[\d.]+\/(?!.*(?:site|dist)-packages)|^\/build\/(?:glibc|gcc)|\/libstdc\+\+-v3\/|\/lib\/ruby\/[\d.]+\/(?!gems)|\/usr\/share\/perl\/|\/lib\/perl5?\//;
const THIRD_PARTY_SOURCE =
  /^\/usr\/(?:local\/)?include\/|\/(?:site-packages|dist-packages|node_modules|\.cargo\/(?:registry|git)|go\/pkg\/mod|vcpkg_installed|\.conan2?)\/|\/gems\/|^(?:https?|npm|jsr):/;

/** Functions of the C++ and Rust standard libraries, where no source file tells. */
const STANDARD_FUNCTION =
  /^(?:std|__gnu_cxx|__gnu_debug|__cxxabiv1|core|alloc|hashbrown|proc_macro|backtrace_rs|rustc_demangle|compiler_builtins)::|^<&*(?:mut )?(?:\(|\[|\*|dyn (?:core|alloc|std)|(?:std|core|alloc|hashbrown)::|[A-Z](?: as| ?>)|(?:str|char|bool|[iuf]\d+|[iu]size)\b)|^rust_(?:begin_unwind|panic|eh_personality)|^__cxa_|^__gxx_|^_Unwind_|^(?:java|javax|jdk|sun|com\.sun)\.|^static initialisers$/;
/** What starts programs and threads. */
const START =
  /^(?:_start|start_thread|__?clone3?|_dl_\w+|__libc_(?:start_\w+|csu_init)|call_init|frame_dummy|__do_global_ctors_aux|_init|lang_start\w*)$/;
/** What V8 calls its own compiled code in perf maps. */
const ENGINE = /^(?:Builtin|BytecodeHandler|RegExp|Stub|Handler|Wasm|WasmToJS|JSToWasm|Interpreter|py_trampoline)\b/;

/** Tells the kinds of a profile's frames. */
export class Kinds {
  readonly #executable: string;
  readonly #options: KindOptions;
  /** The folder that the program shares with its own libraries, where it has one in a place that others share too. */
  readonly #folder: RegExp | undefined;
  readonly #isRuntime: boolean;
  readonly #modules = new Map<string, FrameKind>();
  readonly #profile: Profile;
  #callers: ReadonlyMap<Frame, number> | undefined;

  /** For the frames of `profile`. */
  constructor(profile: Profile, options: KindOptions = {}) {
    const executable = profile.process.executable;
    this.#profile = profile;
    this.#executable = executable;
    this.#options = options;
    const program = basename(executable);
    this.#isRuntime = RUNTIME.test(program);
    const inside = /^(\/usr(?:\/local)?\/lib(?:exec|64)?\/(?:[^/]+-linux-gnu\/)?[^/]+\/)/.exec(
      `${dirname(executable)}/`,
    )?.[1];
    const quoted = (text: string) => text.replace(/[^\w/]/g, "\\$&");
    if (!this.#isRuntime && program.length > 2) {
      this.#folder = new RegExp(
        `/${quoted(program.replace(/[-.\d]+$/, "") || program)}[-.\\d]*/${inside ? `|^${quoted(inside)}` : ""}`,
      );
    }
  }

  /** What a frame is; `place` is the one of the recording that it stands at. */
  of(frame: Judged, place: Frame): FrameKind {
    const guess = this.#guess(frame, place);
    const { own, notOwn } = this.#options;
    const names = [frame.function, frame.module, frame.file];
    const is = (pattern: RegExp | undefined) => pattern && names.some((name) => name && matches(pattern, name));
    if (is(own)) return frame.module ? "own" : "script";
    return isOwn(guess) && is(notOwn) ? "system" : guess;
  }

  #guess(frame: Judged, place: Frame): FrameKind {
    const { function: name, module, file } = frame;
    const { allocationFunctions } = this.#options;
    if (name && allocationFunctions && matches(allocationFunctions, name)) return "wrapper";
    if (!module) return this.#jit(name, file);
    if (isPool(module)) return "system";
    if (isAllocationFunction(name)) return "allocation";
    // Hooks that an allocator's own calls pass through.
    if (basename(module).startsWith("libheaptap")) return "allocation";
    const ofModule = this.#module(module);
    // The shape of a wrapper tells in a program's code; a runtime's functions are not shown anyhow.
    const callers = () => ofModule === "own" || ofModule === "system" ? this.#callersOf(place) : 0;
    if (isWrapper(name, callers)) return "wrapper";
    if (START.test(name)) return "standard";
    if (ofModule !== "own") return ofModule;
    if (file) {
      if (STANDARD_SOURCE.test(file)) return "standard";
      if (THIRD_PARTY_SOURCE.test(file)) return "system";
      // The source tells: what a user adds to C++'s namespace std is the user's.
      if (file.startsWith("/") && !file.endsWith(".rs")) return "own";
    }
    return STANDARD_FUNCTION.test(name) ? "standard" : "own";
  }

  #jit(name: string, file: string): FrameKind {
    // Our own stand between a test, or an operation, and what called it.
    if (!name || ENGINE.test(name) || isOwnModule(file)) return "runtime";
    if (STANDARD_SOURCE.test(file)) return "standard";
    if (THIRD_PARTY_SOURCE.test(file)) return "system";
    return /^(?:java|javax|jdk|sun|com\.sun)[./]/.test(name) ? "standard" : "script";
  }

  #module(path: string): FrameKind {
    let kind = this.#modules.get(path);
    if (kind === undefined) this.#modules.set(path, kind = this.#ofPath(path));
    return kind;
  }

  #ofPath(path: string): FrameKind {
    const name = basename(path);
    if (path === this.#executable) return this.#isRuntime ? "runtime" : "own";
    if (STANDARD_LIBRARY.test(name) || !path.startsWith("/")) return "standard";
    if (RUNTIME_LIBRARY.test(name) || RUNTIME.test(name)) return "runtime";
    if (/\/lib-dynload\//.test(path)) return "standard";
    if (this.#folder?.test(path)) return "own";
    return SYSTEM_FOLDER.test(path) ? "system" : "own";
  }

  /** From how many places a place is reached that stands right above the allocator: at most two frames from the inner end. */
  #callersOf(place: Frame): number {
    if (this.#options.callers) return this.#options.callers(place);
    if (!this.#callers) {
      const callers = new Map<Frame, Set<Frame>>();
      for (const { stack } of this.#profile.callPaths) {
        for (let at = 0; at < 3 && at + 1 < stack.length; at++) {
          const [inner, outer] = [stack[at] as Frame, stack[at + 1] as Frame];
          let known = callers.get(inner);
          if (!known) callers.set(inner, known = new Set());
          known.add(outer);
        }
      }
      this.#callers = new Map([...callers].map(([frame, from]) => [frame, from.size]));
    }
    return this.#callers.get(place) ?? 0;
  }
}
