/** What a function gave that is to be waited for. */

/** Whether it is: an await takes turns of the event loop, which allocate, and is for what there is something to wait for alone. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | undefined)?.then === "function";
}
