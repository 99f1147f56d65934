/** How the functions of a just-in-time compiler, or of an interpreter, come to have names. */
import { basename } from "node:path";
import { V8_FLAGS } from "../native/v8_flags.ts";
import type { Profile } from "../profile/profile.ts";

interface Runtime {
  /** What its program's file is called. */
  readonly program?: RegExp;
  /** What its library is called. */
  readonly library?: RegExp;
  /** Whose functions, and how they are named. */
  readonly remedy: string;
}

/** The most telling first: a JVM may be inside Python, and Python inside anything. */
const RUNTIMES: readonly Runtime[] = [
  {
    program: /^deno$/,
    remedy: `JavaScript functions are shown as addresses: start Deno with --v8-flags=${
      V8_FLAGS.join(",")
    } (heaptap run --js-names adds them) to see their names`,
  },
  {
    program: /^(node|nodejs)(-?\d+)?$/,
    library: /^libnode\.so/,
    remedy: `JavaScript functions are shown as addresses: start Node with ${
      V8_FLAGS.join(" ")
    } (heaptap run --js-names adds them), or a script with install({ jsNames: true }), to see their names`,
  },
  {
    program: /^bunx?(-.*)?(\.exe)?$/,
    remedy: "JavaScript functions are shown as addresses: Bun does not tell their names",
  },
  {
    program: /^(electron|chrome|chromium)/,
    remedy: `JavaScript functions are shown as addresses: start it with --js-flags="${
      V8_FLAGS.join(" ")
    }" to see their names`,
  },
  {
    program: /^java$/,
    library: /^libjvm\.so/,
    remedy:
      "Java methods are shown as addresses: start the JVM (17 or later) with -XX:+UnlockDiagnosticVMOptions -XX:+DumpPerfMapAtExit to see their names",
  },
  {
    library: /^libcoreclr\.so/,
    remedy: ".NET methods are shown as addresses: set DOTNET_PerfMapEnabled=1 to see their names",
  },
  {
    program: /^luajit/,
    library: /^libluajit/,
    remedy:
      "Compiled Lua is shown as addresses: build LuaJIT with -DLUAJIT_USE_PERFTOOLS, or switch its compiler off (-joff), to see names",
  },
  {
    program: /^ruby/,
    library: /^libruby/,
    remedy:
      "Compiled Ruby methods are shown as addresses: start Ruby (3.3 or later) with --yjit --yjit-perf=map to see their names",
  },
  {
    program: /^php/,
    library: /^(opcache\.so|libphp)/,
    remedy: "Compiled PHP functions are shown as addresses: start PHP with -d opcache.jit_debug=16 to see their names",
  },
  {
    program: /^beam(\.smp)?$/,
    remedy: "Erlang functions are shown as addresses: start it with +JPperf true (OTP 25 or later) to see their names",
  },
  {
    library: /^libwasmtime/,
    program: /^wasmtime$/,
    remedy: "WebAssembly functions are shown as addresses: start wasmtime with --profile=perfmap to see their names",
  },
];

/** Files of a program: its own, and the libraries that are on stacks. */
function files(
  { process: { executable }, modules }: Profile,
): { readonly program: string; readonly libraries: string[] } {
  const bare = (path: string) => basename(path.replace(/ \(deleted\)$/, ""));
  return { program: bare(executable), libraries: modules.map(({ path }) => bare(path)) };
}

/** The minor version of CPython 3 that a program is, or has loaded; undefined when there is none. */
function pythonVersion(program: string, libraries: readonly string[]): number | undefined {
  for (const name of [program, ...libraries]) {
    const [, minor] = /^(?:lib)?python3\.(\d+)/.exec(name) ?? [];
    if (minor !== undefined) return Number(minor);
  }
  return undefined;
}

function python(minor: number): string {
  return minor >= 12
    ? "Python functions are not shown: record with heaptap run --python, or start Python with -X perf, to see them"
    : `Python functions are not shown: Python 3.${minor} cannot tell them, 3.12 and later do with heaptap run --python`;
}

/** What gives names to code of no file; what such code is in any case. */
export function jitRemedy(profile: Profile): string {
  const { program, libraries } = files(profile);
  return programRemedy(program, libraries) ??
    "Some functions are code that was made while the program ran: their names are known when its compiler writes /tmp/perf-PID.map";
}

/** The same of a program by its file and its libraries, before it runs; undefined when it is no runtime. */
export function programRemedy(program: string, libraries: readonly string[] = []): string | undefined {
  const found = RUNTIMES.find((runtime) => runtime.program?.test(program)) ??
    RUNTIMES.find(({ library }) => library && libraries.some((name) => library.test(name)));
  if (found) return found.remedy;
  const minor = pythonVersion(program, libraries);
  return minor === undefined ? undefined : python(minor);
}

/** CPython's loop: a stack that passes it and has no Python function could have had some. */
const PYTHON_LOOP = /^_?PyEval_EvalFrame(Default|Ex)?(\.|$)/;
/** V8's interpreter, in the same way. */
const V8_LOOP = /^Builtins_InterpreterEntryTrampoline/;

/** Whether a program may have run functions of an interpreter that looks like any other native code. */
export function hasInterpreter(profile: Profile): boolean {
  const { program, libraries } = files(profile);
  return programRemedy(program, libraries) !== undefined;
}

/** What shows an interpreter's functions, where stacks with these functions pass its loop; "" where not. */
export function interpreterRemedy(profile: Profile, functions: ReadonlySet<string>): string {
  const { program, libraries } = files(profile);
  const passes = (loop: RegExp) => [...functions].some((name) => loop.test(name));
  if (passes(V8_LOOP)) return programRemedy(program, libraries)?.replace("shown as addresses", "not shown") ?? "";
  const minor = pythonVersion(program, libraries);
  return minor !== undefined && passes(PYTHON_LOOP) ? python(minor) : "";
}
