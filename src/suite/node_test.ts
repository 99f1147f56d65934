/**
 * Node's tests. Node shows where a test was registered, by the frame that called: no function of ours may stand between. So a test's
 * function is changed where the runner's own object of the test keeps it, which is found by the hook that Node has for asynchronous
 * resources. Where an object of a later Node has none, no test is counted, which is said.
 */
import { createHook } from "node:async_hooks";
import process from "node:process";
import { counted, countedUntilDone, startTests } from "./tests.ts";
import { inPlaceOf } from "./registrar.ts";
import type { Callable } from "./registrar.ts";
import type { Setting } from "./setting.ts";

/** What the runner gives to a test. */
interface Context {
  readonly fullName?: string;
  readonly name?: string;
  readonly filePath?: string;
}

function changed(run: Callable, test: { readonly skipped?: boolean }): Callable {
  return inPlaceOf(run, function (...given) {
    const [context, done] = given as [Context | undefined, unknown];
    const name = context?.fullName ?? context?.name ?? "";
    const file = context?.filePath ?? process.argv[1] ?? "";
    if (name === "" || name === "<root>" || test.skipped) return run.apply(this, given);
    if (run.length === 2 && typeof done === "function") {
      return countedUntilDone({ name, file }, (end) => void run.call(this, context, end), done as () => void);
    }
    return counted({ name, file }, () => run.apply(this, given));
  });
}

/** The class of tests, of an object of it or of one that comes from it. */
function testClass(resource: object): object | undefined {
  for (let at: object | null = Object.getPrototypeOf(resource); at; at = Object.getPrototypeOf(at)) {
    if (at.constructor.name === "Test") return at;
  }
  return undefined;
}

/** Begins to count. */
export function start(setting: Setting): void {
  // The process that only starts those of the files runs none itself, unless it was told to.
  const own = process.execArgv.some((value) => /^--(experimental-)?test-isolation=none$/.test(value));
  if (process.execArgv.includes("--test") && !own && !process.env.NODE_TEST_CONTEXT) return;
  if (!startTests(setting)) return;
  const hook = createHook({
    init(_id, type, _trigger, resource) {
      if (type !== "Test") return;
      hook.disable();
      const tests = testClass(resource);
      if (!tests) return;
      Object.defineProperty(tests, "fn", {
        configurable: true,
        set(this: object, run: Callable) {
          // A group's function registers tests and is none.
          const value = this.constructor.name === "Test" && typeof run === "function" ? changed(run, this) : run;
          Object.defineProperty(this, "fn", { value, writable: true, enumerable: true, configurable: true });
        },
      });
    },
  }).enable();
}
