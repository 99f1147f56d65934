/**
 * Interpreters that serve small requests from pools of their own, so that malloc hears little of them: how they are known,
 * and the environment variables that switch the pools off, in what they start too.
 */
import { readdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { V8_FLAGS } from "../native/v8_flags.ts";

/** Which interpreters are to do without pools of their own, in the program and in what it starts. */
export interface InterpreterOptions {
  /** CPython: `PYTHONMALLOC=malloc`, and for the names of its functions `PYTHONPERFSUPPORT=1`, which 3.12 and later read. */
  readonly python?: boolean | undefined;
  /** PHP: `USE_ZEND_ALLOC=0`. */
  readonly php?: boolean | undefined;
  /** Node and Deno: V8's flags by which it tells the names of its functions, added to `NODE_OPTIONS` and `DENO_V8_FLAGS`. */
  readonly jsNames?: boolean | undefined;
}

/** Where runtimes take such flags from, and what is between two. */
const V8_VARIABLES = [["NODE_OPTIONS", " "], ["DENO_V8_FLAGS", ","]] as const;

interface Variable {
  readonly name: string;
  readonly value: string;
  /** Whether a value of the user's comes to the same. An empty one does to PHP, and to Python is as none. */
  agrees(given: string): boolean;
}

interface Interpreter {
  readonly option: "python" | "php";
  /** What its file is called. */
  readonly file: RegExp;
  /** What the file is called of those that have their pools in any case. */
  readonly fixed?: RegExp;
  /** What switches its pools off. */
  readonly pools: Variable;
  /** What has it tell the names of its functions. */
  readonly names?: Variable;
}

const INTERPRETERS: readonly Interpreter[] = [
  {
    option: "python",
    file: /^python\d/,
    // Python 2 does not know the variable, and free-threaded Python ends at the sight of it.
    fixed: /^python(2|3\.\d+td?$)/,
    pools: { name: "PYTHONMALLOC", value: "malloc", agrees: (given) => /^malloc(_debug)?$/.test(given) },
    // Set for all versions: older ones do not read it, and which one a script starts is not known.
    names: { name: "PYTHONPERFSUPPORT", value: "1", agrees: (given) => parseInt(given) !== 0 },
  },
  {
    option: "php",
    file: /^php(-fpm|-cgi|dbg)?[\d.]*$/,
    pools: { name: "USE_ZEND_ALLOC", value: "0", agrees: (given) => !parseInt(given) },
  },
];

/**
 * The environment in which interpreters do without their pools and tell names, as far as that is asked for. A variable that is set already
 * is the user's and stays, which is noted where it says otherwise.
 *
 * @param file The file of the program, or of a script's interpreter, where it is known.
 */
export function withoutPools(
  env: NodeJS.ProcessEnv,
  asked: InterpreterOptions,
  file: string = "",
): { readonly env: NodeJS.ProcessEnv; readonly notes: readonly string[] } {
  const changed = { ...env };
  const notes: string[] = [];
  for (const { option, fixed, pools, names } of INTERPRETERS.filter(({ option }) => asked[option])) {
    const variables = [fixed?.test(basename(file)) ? undefined : pools, names].filter((v) => v !== undefined);
    for (const { name, value, agrees } of variables) {
      const given = env[name];
      if (given === undefined) changed[name] = value;
      else if (!agrees(given)) notes.push(`${name}=${given} stays as it was set: --${option} would set ${value}`);
    }
  }
  for (const [name, between] of asked.jsNames ? V8_VARIABLES : []) {
    const given = (env[name] ?? "").split(between).filter(Boolean);
    changed[name] = [...given, ...V8_FLAGS.filter((flag) => !given.includes(flag))].join(between);
  }
  return { env: changed, notes };
}

/** Removes the logs that V8 leaves in a folder, of these processes, when it is to tell names: nobody asked for them. */
export function removeV8Logs(folder: string, pids: ReadonlySet<number>): void {
  for (const name of readdirSync(folder)) {
    const pid = /^isolate-0x[0-9a-f]+-(\d+)-v8\.log$/.exec(name)?.[1];
    if (pid !== undefined && pids.has(Number(pid))) rmSync(join(folder, name), { force: true });
  }
}

/**
 * What is not seen of a program that has pools of its own in this environment, and the remedy. A script that started it may
 * have set the variable.
 */
export function poolNotes(command: string, file: string, env: NodeJS.ProcessEnv): string[] {
  const program = basename(file);
  const found = INTERPRETERS.find((interpreter) => interpreter.file.test(program));
  if (!found || env[found.pools.name] !== undefined) return [];
  const { option, fixed, pools: { name, value } } = found;
  const [which, remedy] = fixed?.test(program)
    ? ["that nothing switches off", ""]
    : [`unless ${name}=${value} is set`, `: heaptap run --${option} sets it`];
  return [`"${command}" serves small requests from pools of its own ${which}, and little of that is seen${remedy}`];
}
