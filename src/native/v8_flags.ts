/** How V8 is asked for names. */

/** V8's flags: to write what its code is, and to give interpreted functions frames of their own. */
export const V8_FLAGS: readonly string[] = ["--perf-basic-prof", "--interpreted-frames-native-stack"];
