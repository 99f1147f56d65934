/** mitata's benchmarks, on any runtime: each is measured where mitata would take times. */
import { createRequire } from "node:module";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { begin, tell } from "./answer.ts";
import { plainCalls } from "../scope/measure.ts";
import type { Calls } from "../scope/measure.ts";
import { measured, singleCalls } from "./benches.ts";
import type { Callable } from "./registrar.ts";
import type { Setting } from "./setting.ts";

/** What is used of mitata. */
interface Benchmark {
  readonly f: Callable;
  readonly _name: string;
  /** Values of each parameter: the benchmark runs with all of one with all of the others. */
  readonly _args: Readonly<Record<string, readonly unknown[]>>;
  readonly _group: number;
  _names(): Iterable<string>;
  run(): Promise<unknown>;
}
type Args = Readonly<Record<string, unknown>>;
/** What a generator function yields: the function to call, or that with functions that make its arguments. */
interface Yielded {
  readonly bench?: Callable;
  readonly manual?: Callable;
  readonly [parameter: number]: () => unknown;
}

const isGenerator = (run: Callable) => /GeneratorFunction$/.test(run.constructor.name);

/** The calls of a benchmark of any of mitata's kinds. */
function callsOf(run: Callable, args: Args): Calls {
  const get = (name: string) => args[name];
  if (isGenerator(run)) {
    return async (calls, stretches) => {
      const steps = run.call(undefined, { get }) as Iterator<Yielded | Callable> | AsyncIterator<Yielded | Callable>;
      const { value } = await steps.next();
      if (typeof value === "function") await plainCalls(value as () => unknown)(calls, stretches);
      else await callsWith(value as Yielded)(calls, stretches);
      await steps.next();
    };
  }
  if (run.length === 0) return plainCalls(run);
  // `for (const _ of state)`: what is inside of the loop is counted.
  return async (calls, stretches) => {
    const state = {
      get,
      *[Symbol.iterator]() {
        stretches.start();
        for (let i = 0; i < calls; i++) yield undefined;
        stretches.stop();
      },
    };
    await run(state);
    stretches.stop();
  };
}

/** Calls of a function whose arguments are made beforehand. */
function callsWith(yielded: Yielded): Calls {
  const run = (yielded.bench ?? yielded.manual) as Callable;
  const makers = Array.from({ length: run.length }, (_, i) => yielded[i] as () => unknown);
  return singleCalls(() => {
    const values = makers.map((make) => make());
    return () => run(...values);
  });
}

/** Begins. The script is in the arguments: its mitata is the one that is found from there. */
export async function start(setting: Setting): Promise<void> {
  if (!begin(setting)) return;
  const script = process.argv[1] ?? "";
  let found: { B?: { readonly prototype: Benchmark } };
  try {
    found = await import(pathToFileURL(createRequire(script).resolve("mitata")).href);
  } catch {
    tell({ kind: "problem", problem: `No mitata is to be found from "${script}"` });
    return;
  }
  const prototype = found.B?.prototype;
  if (typeof prototype?.run !== "function") {
    tell({ kind: "problem", problem: "This mitata has no benchmarks that can be reached: take version 1" });
    return;
  }
  prototype.run = async function (this: Benchmark) {
    const runs = [];
    const combined = combinations(this._args);
    for (const [i, name] of [...this._names()].entries()) {
      const args = combined[i] ?? {};
      await measured(setting, name, script, callsOf(this.f, args));
      runs.push({ name, args, stats: statsOf(++times), error: undefined });
    }
    const kind = ["static", "args"][Object.keys(this._args).length] ?? "multi-args";
    const style = { highlight: false, compact: false };
    return { kind, args: this._args, alias: this._name, group: this._group, baseline: false, runs, style };
  };
}

let times = 0;

/** What stands for times, which nobody sees: mitata draws what it has, and does not end where all is the same. */
function statsOf(n: number) {
  const samples = Array.from({ length: 12 }, (_, i) => n + i / 10);
  const [min, max] = [n, n + 1.1];
  const quantiles = { p25: n + 0.3, p50: n + 0.5, p75: n + 0.8, p99: max, p999: max };
  return { kind: "fn", debug: "", ticks: 12, samples, min, max, avg: n + 0.5, ...quantiles };
}

/** The parameters of each run, in mitata's order: the first changes fastest. */
function combinations(args: Benchmark["_args"]): Args[] {
  let found: Args[] = [{}];
  for (const [name, values] of Object.entries(args)) {
    found = values.flatMap((value) => found.map((one) => ({ ...one, [name]: value })));
  }
  return found;
}
