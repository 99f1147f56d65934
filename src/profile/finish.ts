/** Runs work that yields where it may wait, without a wait, and gives what it returns. */
export function finish<T>(work: Generator<undefined, T>): T {
  let step = work.next();
  while (!step.done) step = work.next();
  return step.value;
}
