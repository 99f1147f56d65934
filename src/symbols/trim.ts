/** Stacks without the frames that explain nothing. */
import { culprit } from "./allocators.ts";
import type { NamedFrame } from "./symbols.ts";

/** How a thread begins, whatever it does. */
const START = /^(_start|__libc_start_main|__libc_start_call_main|start_thread|(__)?clone3?)(@|$)/;

/** What V8 calls its own compiled code in perf maps. */
const ENGINE = /^(Builtin|BytecodeHandler|RegExp|Stub|Handler|Wasm):/;

/**
 * A stack without the allocator's frames at its inner end, the runtime's, which are those of the
 * program's own file (`executable`) and of code without a name, and those that start a thread.
 * Where nothing else is left, the frame that called the allocator stays.
 */
export function shortStack(stack: readonly NamedFrame[], executable: string): NamedFrame[] {
  const inner = stack.slice(culprit(stack));
  const kept = inner.filter((frame) =>
    frame.module !== executable && (frame.function || frame.module) && !START.test(frame.function) &&
    !ENGINE.test(frame.function)
  );
  return kept.length > 0 ? kept : inner.slice(0, 1);
}
