/** How test and benchmark runners are started so that heaptap's part of them runs first. */
import { spawnSync } from "node:child_process";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, extname, join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { startedModules } from "../file/own_folder.ts";
import { ownPath, workingFolder } from "../file/paths.ts";
import { libraryPath } from "../native/build.ts";
import { isFrom } from "../native/oldest.ts";
import { OutputError } from "../file/output_error.ts";
import { locate } from "../run/program.ts";
import { ProgramError } from "../run/recordable.ts";
import type { Line, Setting } from "../suite/setting.ts";

/** What is run of a runner. */
export type Kind = "test" | "bench";

/** A command that is started with heaptap's part in it. */
export interface Prepared {
  /** The command as it is meant: `bun x.test.ts` is `bun test x.test.ts`. */
  readonly plain: readonly string[];
  /** The same with heaptap's part. */
  readonly command: readonly string[];
  /** Which file of src/suite hooks in. */
  readonly hook: string;
  /** Recordings of its processes, with `%p` for their numbers. */
  readonly out: string;
  /** What was changed that somebody might not expect, a sentence each. */
  readonly notes: readonly string[];
  /** What figures do not tell for how it was started, a sentence each. */
  readonly unseen: readonly string[];
  /** The lines that were told. */
  lines(): Line[];
  /** Removes the folder. */
  end(): void;
}

/** Which file of src/suite hooks in. */
const HOOKS: Readonly<Record<Kind, Readonly<Record<string, string>>>> = {
  test: { deno: "deno_test", bun: "bun_test", node: "node_test" },
  bench: { deno: "deno_bench", bun: "mitata_bench", node: "mitata_bench" },
};

type Runner = "deno" | "bun" | "node";

function runtimeOf(program: string): Runner | undefined {
  const [, name] = /^(deno|bun|node)(?:js)?[\d.-]*$/.exec(basename(program)) ?? [];
  return name as Runner | undefined;
}

/** What is typed when a runner is meant. */
const EXAMPLES: Readonly<Record<Kind, string>> = {
  test: "heaptap test deno, heaptap test bun, heaptap test node x.test.mjs",
  bench: "heaptap bench deno x.bench.ts, heaptap bench bun x.mjs with mitata",
};

/** Deno is told in its own words what else this needs, in narrow terms, when the user gave permissions one by one. */
function denoPermissions(values: readonly string[], folder: string): { values: string[]; added: string[] } {
  const end = values.indexOf("--");
  const options = end < 0 ? values : values.slice(0, end);
  if (options.some((value) => value === "-A" || value === "--allow-all")) return { values: [...values], added: [] };
  const wide = (name: string, short: string) => options.includes(`--allow-${name}`) || options.includes(short);
  const added = [
    // Counters are read through pointers, for which a list of libraries is not enough.
    ...options.includes("--allow-ffi") ? [] : ["--allow-ffi"],
    ...wide("read", "-R") ? [] : [`--allow-read=${startedModules()},${folder}`],
    ...wide("write", "-W") ? [] : [`--allow-write=${folder}`],
  ];
  return { values: values.filter((value) => !value.startsWith("--allow-ffi=")), added };
}

/** The command with an option of the runtime that has heaptap's part run first, and with what that needs. */
function arranged(
  program: string,
  runtime: Runner,
  given: readonly string[],
  kind: Kind,
  folder: string,
): Pick<Prepared, "plain" | "command" | "notes"> {
  const preload = join(folder, "first.mjs");
  if (runtime === "deno") {
    const named = /^(test|bench|run)$/.test(given[0] ?? "");
    const [verb = kind, ...rest] = named ? given : [kind, ...given];
    const { values, added } = denoPermissions(rest, folder);
    const notes = added.length > 0
      ? [`Deno is given ${added.map((flag) => flag.replace(/=.*/, "=…")).join(" ")}, which counting needs`]
      : [];
    return {
      plain: [program, verb, ...rest],
      command: [program, verb, `--preload=${preload}`, ...added, ...values],
      notes,
    };
  }
  if (runtime === "bun") {
    const named = given[0] === "test" || given[0] === "run";
    const verb = named ? [given[0] as string] : kind === "test" ? ["test"] : [];
    const rest = named ? given.slice(1) : given;
    return {
      plain: [program, ...verb, ...rest],
      command: [program, ...verb, `--preload=${preload}`, ...rest],
      notes: [],
    };
  }
  const testing = kind === "test" && !given.some((value) => /^--test(=|$)/.test(value)) ? ["--test"] : [];
  return {
    plain: [program, ...testing, ...given],
    command: [program, "--experimental-ffi", `--import=${preload}`, ...testing, ...given],
    notes: [],
  };
}

/** From which version on a runner has what telling tests apart takes, and what that is. */
const OLDEST: Readonly<Record<Runner, readonly [name: string, version: string, what: string]>> = {
  deno: ["Deno", "2.4", "--preload"],
  bun: ["Bun", "1.2.23", "functions of bun:test that can be replaced"],
  node: ["Node", "26.1", "--experimental-ffi"],
};

/** Refuses a runner that cannot open libraries, or run heaptap's part first. One that does not start says why when it is started. */
function checkAge(program: string, runner: Runner, given: readonly string[], kind: Kind): void {
  // Benchmarks on Bun are mitata's, not bun:test's.
  if (runner === "bun" && kind === "bench") return;
  // Node may be built without it.
  const args = runner === "node" ? ["--experimental-ffi", "--version"] : ["--version"];
  const { status, error, stdout } = spawnSync(program, args, { encoding: "utf8", env: process.env });
  const [name, first, what] = OLDEST[runner];
  const version = /\d+\.\d+\.\d+/.exec(stdout ?? "")?.[0];
  if (error || (runner === "node" ? status === 0 : version === undefined || isFrom(version, first))) return;
  const parts = kind === "test" ? "tests" : "benchmarks";
  const { plain } = arranged(program, runner, given, kind, "");
  throw new ProgramError(
    `Cannot tell ${parts} apart in "${program}": that takes ${name} ${first} or later (${what}); heaptap run -- ${
      plain.join(" ")
    } records an older one as a whole`,
    2,
  );
}

/** Prepares a command of deno, bun or node. */
export function prepare(
  kind: Kind,
  given: readonly string[],
  setting: Omit<Setting, "results" | "library" | "out" | "parallel">,
  asked?: string,
): Prepared {
  const [program = "", ...rest] = given;
  const runtime = runtimeOf(program);
  if (!runtime) {
    const which = /^(npm|pnpm|yarn|npx|bunx)$/.test(basename(program))
      ? `name the runner that ${basename(program)} starts`
      : "it takes deno, bun or node";
    throw new OutputError(
      `Cannot tell the ${kind === "test" ? "tests" : "benchmarks"} of "${program}" apart: ${which} (${EXAMPLES[kind]})`,
    );
  }
  if (runtime === "deno" && rest[0] === "task") {
    throw new OutputError(`Cannot look into "deno task": name the deno ${kind} that it runs (${EXAMPLES[kind]})`);
  }
  if (runtime !== "deno" && kind === "bench" && rest.length === 0) {
    throw new OutputError(
      `Cannot run benchmarks without a file: name the script that calls mitata (${EXAMPLES[kind]})`,
    );
  }
  locate(program, process.env.PATH, workingFolder());
  checkAge(program, runtime, rest, kind);
  const library = libraryPath();
  const folder = mkdtempSync(join(tmpdir(), "heaptap-"));
  const results = join(folder, "results");
  appendFileSync(results, "");
  const hook = kind === "bench" && runtime === "deno" && rest[0] === "run" ? "mitata_bench" : HOOKS[kind][runtime];
  const source = pathToFileURL(join(startedModules(), "suite", hook + (extname(import.meta.url) || ".js"))).href;
  // Node runs each file in a process of its own.
  const named = asked === undefined || asked.includes("%p") || runtime !== "node"
    ? asked
    : asked.replace(/(\.heaptap)?$/, ".%p$1");
  const out = ownPath(named ?? join(folder, "%p.heaptap"));
  // Deno's are threads of one process; Bun's and Node's are processes.
  const parallel = runtime === "deno" && rest.includes("--parallel");
  const told: Setting = { ...setting, parallel, results, library, out: kind === "test" ? out : "" };
  // Imported by a name that is not known beforehand: our sources are not the user's to check.
  writeFileSync(
    join(folder, "first.mjs"),
    `const { start } = await import(${JSON.stringify(source)});\nawait start(${JSON.stringify(told)});\n`,
  );
  return {
    ...arranged(program, runtime, rest, kind, folder),
    unseen: [
      ...parallel
        ? ["Files ran in threads beside one another: what other threads did for a test is not in its figures"]
        : [],
      ...rest.some((value) => /coverage/.test(value))
        ? ["Coverage has heaptap's own files in it: measure it in a run of its own"]
        : [],
    ],
    out,
    hook: hook ?? "",
    lines: () => readFileSync(results, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line) as Line),
    end: () => rmSync(folder, { recursive: true, force: true }),
  };
}
