/** Bun's tests: the functions of `bun:test`, which all of a process's test files share, and which node:test's go through. */
import { join } from "node:path";
import { format, inspect } from "node:util";
import { counted, countedUntilDone, startTests } from "./tests.ts";
import { inPlaceOf, nameIn, registering, withFunction } from "./registrar.ts";
import type { Callable } from "./registrar.ts";
import type { Setting } from "./setting.ts";

/** Names of the groups whose functions run at this moment, the outer ones first. */
let groups: readonly string[] = [];

const OWN = join(import.meta.dirname ?? "", "/");

/** The file that registers a test: the innermost on the stack that is not this folder's. */
function callingFile(): string {
  const files = (new Error().stack ?? "").matchAll(/(?:\(|at )(?:file:\/\/)?(\/[^()\n]+?):\d+(?::\d+)?\)?$/gm);
  for (const [, file = ""] of files) if (!file.startsWith(OWN)) return file;
  return "";
}

/** What a row of a table makes of a name: `adds %d to %d`, `adds $a`. */
export function rowName(name: string, row: readonly unknown[], index: number): string {
  const [first] = row;
  const filled = name.replace(/\$([\w.]+)/g, (whole, path: string) => {
    const value = path.split(".").reduce<unknown>(
      (at, key) => (at as Record<string, unknown> | undefined)?.[key],
      first,
    );
    return value === undefined ? whole : typeof value === "string" ? value : inspect(value);
  }).replace(/%#/g, String(index)).replace(/%p/g, "%o");
  const places = [...filled.matchAll(/%[sdifjoO]/g)].length;
  return places > 0 || filled.includes("%%") ? format(filled, ...row.slice(0, places)) : filled;
}

/** Gives a registered function its name, with those of the groups that it stands in; of a table each row has its own. */
function namer(values: readonly unknown[], rows: boolean): (given: readonly unknown[]) => readonly string[] {
  // The function may run when the groups' have ended.
  const within = groups;
  const title = nameIn(values);
  let row = 0;
  return (given) => [...within, rows ? rowName(title, given, row++) : title];
}

function changedTest(values: unknown[], rows: boolean): unknown[] {
  const file = callingFile();
  const names = namer(values, rows);
  return withFunction(values, (run) =>
    inPlaceOf(run, function (...given) {
      const name = names(given).join(" > ");
      const done: unknown = given[0];
      // A test with a parameter is given the function that ends it; one of a table gets its row.
      if (!rows && run.length === 1 && typeof done === "function") {
        return countedUntilDone({ name, file }, (end) => void run.call(this, end), done as () => void);
      }
      return counted({ name, file }, () => run.apply(this, given));
    }));
}

function changedGroup(values: unknown[], rows: boolean): unknown[] {
  const names = namer(values, rows);
  return withFunction(values, (run) =>
    inPlaceOf(run, function (...given) {
      const outer = groups;
      groups = names(given);
      try {
        return run.apply(this, given);
      } finally {
        groups = outer;
      }
    }));
}

/** Begins to count. */
export function start(setting: Setting): void {
  if (!startTests(setting)) return;
  const { Bun: bun } = globalThis as unknown as { Bun: { jest(path: string): Record<string, Callable> } };
  const functions = bun.jest(OWN);
  const { test, it, describe } = functions;
  if (test) functions.test = registering(test, test, changedTest);
  if (it) functions.it = registering(it, it, changedTest);
  if (describe) functions.describe = registering(describe, describe, changedGroup);
}
