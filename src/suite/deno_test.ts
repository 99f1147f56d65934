/** Deno's tests: `Deno.test` in all its forms, and their steps, which @std/testing and node:test go through too. */
import { counted, startTests } from "./tests.ts";
import { inPlaceOf, nameIn, registering, withFunction } from "./registrar.ts";
import type { Callable } from "./registrar.ts";
import type { Setting } from "./setting.ts";

/** What is used of Deno: said here, so that no project needs its types. */
interface DenoTests {
  test: Callable;
  readonly mainModule: string;
}
interface Context {
  step: Callable;
}

/** A registering function's changed arguments, of tests inside of others. */
function changed(values: unknown[], outer: string): unknown[] {
  const own = nameIn(values);
  const name = outer && own ? `${outer} > ${own}` : own;
  return withFunction(values, (run) =>
    inPlaceOf(run, function (...given) {
      const { mainModule } = (globalThis as unknown as { Deno: DenoTests }).Deno;
      return counted({ name, file: mainModule }, () => run.apply(this, [withSteps(given[0], name), ...given.slice(1)]));
    }));
}

/** A test's context, whose steps are counted. */
function withSteps(context: unknown, name: string): unknown {
  if (typeof (context as Context | undefined)?.step !== "function") return context;
  return new Proxy(context as Context, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property);
      if (property === "step") return registering(value as Callable, target, (values) => changed(values, name));
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** Begins to count. */
export function start(setting: Setting): void {
  if (!startTests(setting)) return;
  const { Deno: deno } = globalThis as unknown as { Deno: DenoTests };
  deno.test = registering(deno.test, deno, (values, rows) => rows ? values : changed(values, ""));
}
