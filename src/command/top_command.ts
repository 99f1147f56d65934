/** `heaptap top`: what is looked at. */
import process from "node:process";
import { OutputError } from "../file/output_error.ts";
import { endAs, lookAt } from "./looked_at.ts";
import { top } from "./top.ts";
import type { TopOptions } from "./top.ts";
import { topProgram } from "./top_program.ts";

/** The options of `top`. */
export interface TopCommandOptions extends TopOptions {
  readonly out?: string | undefined;
}

/** Looks at what is named; `isProgram`: it is to be run. */
export async function topCommand(
  words: readonly string[],
  isProgram: boolean,
  options: TopCommandOptions,
): Promise<void> {
  const [named, ...more] = words;
  const { out } = options;
  if (named !== undefined && isProgram) {
    return endAs(await topProgram(words, { out, forwardSignals: true }, options), out);
  }
  if (more.length > 0) {
    throw new OutputError(`Cannot look at "${words.join(" ")}": to run it write heaptap top -- ${words.join(" ")}`);
  }
  await lookAt(named, out, (recordings) => top({ recordings, lines: process.stdout }, options));
}
