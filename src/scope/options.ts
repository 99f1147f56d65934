/** Options as scripts pass them: types check them in TypeScript, this where nothing else does. */

/** Refuses an option that a function does not have: a limit with a typing error must not be a limit less. */
export function checkOptions(of: string, options: object, known: readonly string[]): void {
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) {
      throw new TypeError(`Cannot use the option "${name}" of ${of}: it has ${known.join(", ")}`);
    }
  }
}

/** Refuses what cannot be called. */
export function checkFunction(of: string, run: unknown): void {
  if (typeof run !== "function") throw new TypeError(`Cannot use ${of} without a function to run`);
}

/** Refuses what is no regular expression. */
export function checkPattern(name: string, pattern: unknown): void {
  if (pattern !== undefined && !(pattern instanceof RegExp)) {
    throw new TypeError(`Cannot use ${name} "${String(pattern)}": it takes a regular expression, /sqlite/`);
  }
}

/** Refuses a value that is none of a few. */
export function checkChoice(name: string, value: string | undefined, choices: readonly string[]): void {
  if (value !== undefined && !choices.includes(value)) {
    throw new TypeError(`Cannot use ${name} "${value}": it takes ${choices.join(", ")}`);
  }
}
