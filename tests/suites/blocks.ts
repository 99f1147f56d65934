/** The library of known behaviour (tests/targets/blocks.c) for the suites that `heaptap test` is tried on. */
import process from "node:process";
import { openCopy } from "../blocks.ts";

export const { blocks } = openCopy(process.env.SUITE_BLOCKS ?? "", `suite-${process.pid}.so`);
export const later = (): Promise<void> => new Promise((done) => setTimeout(done, 5));
