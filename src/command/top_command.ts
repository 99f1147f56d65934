/** `heaptap top`: what is looked at. */
import process from "node:process";
import { OutputError } from "../file/output_error.ts";
import { endAs, lookAt, recordedOptions } from "./looked_at.ts";
import type { RecordedOptions } from "./looked_at.ts";
import { top } from "./top.ts";
import type { TopOptions } from "./top.ts";
import { topProgram } from "./top_program.ts";

/** The options of `top`. */
export type TopCommandOptions = TopOptions & RecordedOptions;

/** Looks at what is named; `isProgram`: it is to be run. */
export async function topCommand(
  words: readonly string[],
  isProgram: boolean,
  options: TopCommandOptions,
): Promise<void> {
  const [named, ...more] = words;
  const recorded = recordedOptions(options);
  if (named !== undefined && isProgram) {
    return endAs(await topProgram(words, { ...recorded, forwardSignals: true }, options), recorded.out);
  }
  if (more.length > 0) {
    throw new OutputError(`Cannot look at "${words.join(" ")}": to run it write heaptap top -- ${words.join(" ")}`);
  }
  await lookAt(named, recorded, (recordings) => top({ recordings, lines: process.stdout }, options));
}
