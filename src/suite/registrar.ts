/** Functions that register tests or benchmarks, as `Deno.test` and `bun:test`'s, with what is registered changed on the way. */
import { Script } from "node:vm";

/** Anything that can be called. */
// deno-lint-ignore no-explicit-any -- tests take what their runner gives them
export type Callable = (this: unknown, ...values: any[]) => unknown;

/** What is done to the arguments of a registration; `rows` are those of `.each(rows)(name, function)`. */
export type Change = (values: unknown[], rows: boolean) => unknown[];

/**
 * Deno shows where a test was registered, by the innermost frame that is not the runtime's own: the proxy's calls come from a script
 * that is named as those are.
 */
const PROXY = new Script(
  `(target, self, before, after, property) => new Proxy(target, {
    apply: (_target, _self, values) => after(Reflect.apply(target, self, before(values))),
    get: (_target, name) => property(name),
  })`,
  { filename: "node:heaptap" },
).runInThisContext() as (
  target: Callable,
  self: unknown,
  before: (values: unknown[]) => unknown[],
  after: (result: unknown) => unknown,
  property: (name: string | symbol) => unknown,
) => Callable;

/** Functions beside tests, which take functions that are none. */
const HOOKS = new Set<string | symbol>(["beforeAll", "beforeEach", "afterEach", "afterAll", "sanitizer"]);

/** The same function, with what it registers changed; its own, `.only`, `.each(rows)` and the like, too. */
export function registering(target: Callable, self: unknown, change: Change, rows = false): Callable {
  return PROXY(
    target,
    self,
    (values) => change(values, rows),
    (result) => typeof result === "function" ? registering(result as Callable, undefined, change, true) : result,
    (name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function" || HOOKS.has(name) || name === "prototype") return value;
      return registering(value as Callable, target, change, rows);
    },
  );
}

/** The arguments with their function, or that of the object among them, replaced. */
export function withFunction(values: readonly unknown[], replace: (run: Callable) => Callable): unknown[] {
  return values.map((value) => {
    if (typeof value === "function") return replace(value as Callable);
    if (typeof value === "object" && value !== null && typeof (value as { fn?: unknown }).fn === "function") {
      return { ...value, fn: replace((value as { fn: Callable }).fn) };
    }
    return value;
  });
}

/** The name that arguments give: a text, that of the options, or the function's. */
export function nameIn(values: readonly unknown[]): string {
  const text = values.find((value) => typeof value === "string");
  if (typeof text === "string") return text;
  for (const value of values) {
    const { name } = (value ?? {}) as { name?: unknown };
    if (typeof name === "string" && name) return name;
  }
  return "";
}

/** A function that does something else, and is the first to those who look: runners go by how many parameters a test has. */
export function inPlaceOf(run: Callable, other: Callable): Callable {
  return Object.defineProperties(other, {
    length: { value: run.length, configurable: true },
    name: { value: run.name, configurable: true },
  });
}
