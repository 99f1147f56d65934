/** Deno's benchmarks: `Deno.bench` in all its forms. Deno itself runs them, once, with what it measures left out. */
import { begin } from "./answer.ts";
import { plainCalls } from "../scope/measure.ts";
import type { Calls } from "../scope/measure.ts";
import { measured, singleCalls } from "./benches.ts";
import { nameIn, registering } from "./registrar.ts";
import type { Callable } from "./registrar.ts";
import type { Setting } from "./setting.ts";

/** What is used of Deno: said here, so that no project needs its types. */
interface DenoBenches {
  bench: Callable;
  readonly mainModule: string;
}

/** Calls of a function that may say which part of it is to be counted. */
function contextCalls(run: Callable, names: { readonly name: string; readonly origin: string }): Calls {
  return singleCalls((stretches) => {
    const context = { ...names, start: () => stretches.start(), end: () => stretches.stop() };
    return () => run(context);
  });
}

/** A registration as one object, with a function that measures what the other allocates. */
function changed(values: unknown[], setting: Setting, deno: DenoBenches): unknown[] {
  const options = Object.assign({}, ...values.filter((value) => typeof value === "object")) as {
    fn?: Callable;
    group?: string;
  };
  const run = (values.find((value) => typeof value === "function") ?? options.fn) as Callable | undefined;
  // What Deno refuses it refuses by itself.
  if (!run) return values;
  const name = nameIn(values);
  const shown = options.group ? `${options.group} > ${name}` : name;
  const file = deno.mainModule;
  let asked: Promise<void> | undefined;
  // Deno waits for asynchronous functions alone, and knows them by their kind.
  const fn = async () => {
    asked ??= measured(
      setting,
      shown,
      file,
      run.length > 0 ? contextCalls(run, { name, origin: file }) : plainCalls(run),
    );
    await asked;
  };
  return [{ ...options, name, fn, n: 1, warmup: 1 }];
}

/** Begins. */
export function start(setting: Setting): void {
  if (!begin(setting)) return;
  const { Deno: deno } = globalThis as unknown as { Deno: DenoBenches };
  deno.bench = registering(deno.bench, deno, (values) => changed(values, setting, deno));
}
