/**
 * Which operation a thread is in: a number that the library keeps with every call path. Over an `await` it is carried as far as the
 * runtime tells when a function goes on: Node by its hooks, Deno by those of its promises and timers, Bun not at all.
 */
import { AsyncLocalStorage, createHook } from "node:async_hooks";
import { attach, own } from "./install.ts";
import { checkFunction } from "./options.ts";
import { isThenable } from "./thenable.ts";

/** Operations whose paths are told apart: each stands in the recording's table of modules. */
const MOST = 1000;
/** Bytes of a name that the recording has room for. */
const NAME_BYTES = 200;

/** Functions inside one another that are followed: more are pairs that a runtime left open. */
const DEEPEST = 1000;

const numbers = new Map<string, number>();
const storage = new AsyncLocalStorage<number>();
/** The number that the library has for this thread. */
let current = 0;
/** The operation of what is of none, while one runs alone; 0 for none. */
let alone = 0;
/** Whether the runtime tells when functions go on; undefined before it was asked. */
let follows: boolean | undefined;

function numberOf(name: string): number {
  let number = numbers.get(name);
  if (number === undefined) {
    number = numbers.size < MOST
      ? own(({ library }) => {
        const bytes = new Uint8Array(NAME_BYTES + 1);
        // Whole characters only, and room for the zero.
        new TextEncoder().encodeInto(name, bytes.subarray(0, NAME_BYTES));
        return Number(library.functions.heaptap_operation(bytes));
      })
      : 0;
    numbers.set(name, number);
  }
  return number;
}

function operate(number: number): void {
  if (number !== current && attach().library.functions.heaptap_operate(number) === 1) current = number;
}

/** What Deno has for the hooks of promises. */
interface DenoCore {
  setPromiseHooks(init: undefined, before: () => void, after: () => void, resolve: undefined): void;
}

/** Has the runtime tell when functions go on, and when they stop. */
function follow(): boolean {
  if ("Bun" in globalThis) return false;
  // A resource may have a function run inside another one's: what was under way goes on then.
  const outer: number[] = [];
  const before = () => {
    // Which operation runs alone may change meanwhile.
    if (outer.push(current === alone ? 0 : current) > DEEPEST) outer.length = 0;
    operate(storage.getStore() ?? alone);
  };
  const after = () => operate(outer.pop() || alone);
  try {
    createHook({ before, after }).enable();
    const { Deno: deno } = globalThis as unknown as {
      Deno?: Record<symbol, { core?: DenoCore }> & { internal: symbol };
    };
    deno?.[deno.internal]?.core?.setPromiseHooks(undefined, before, after, undefined);
    return true;
  } catch {
    return false;
  }
}

/** Runs a function in an operation; what it returns, a promise too, is returned. */
export function runIn<T>(name: string, run: () => T): T {
  checkFunction(`run of the operation "${name}"`, run);
  const number = numberOf(name);
  follows ??= own(follow);
  const outer = storage.getStore() ?? alone;
  return storage.run(number, () => {
    operate(number);
    try {
      return run();
    } finally {
      operate(outer);
    }
  });
}

/**
 * The same where nothing else runs in the thread until the promise is settled: what the runtime does there between two turns is of the operation too,
 * as the memory that it takes for the answer to a request; and it is known over every `await` on a runtime that does not tell when functions go on.
 */
export function runAloneIn<T>(name: string, run: () => T): T {
  const outer = alone;
  const leave = () => {
    alone = outer;
    operate(outer);
  };
  alone = numberOf(name);
  let later = false;
  try {
    const result = runIn(name, run);
    if (!isThenable(result)) return result;
    later = true;
    return result.then(
      (value) => (leave(), value),
      (error) => {
        leave();
        throw error;
      },
    ) as T;
  } finally {
    if (!later) leave();
  }
}

/** From here on something else runs beside it. */
export function endAlone(): void {
  alone = 0;
}

/** Whether operations that run at the same time are told apart over their awaits; undefined before there was one. */
export function tellsApart(): boolean | undefined {
  return follows;
}

/** What operations do not tell, a sentence each. */
export function operationNotes(): string[] {
  return [
    ...follows === false
      ? ["Operations are known until their first await: this runtime does not tell when a function goes on"]
      : [],
    ...numbers.size > MOST ? [`Call paths of the first ${MOST} operations alone are told apart`] : [],
  ];
}
