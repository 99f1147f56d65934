/** Stacks as other tools take them: outermost first, with a frame that says what is missing there. */
import type { CallPath, StackEnd } from "../profile/profile.ts";
import type { FrameKind } from "../symbols/kinds.ts";
import { frameName } from "../symbols/named_frame.ts";
import { cleanFrames } from "../symbols/lead.ts";
import type { NamedFrame } from "../symbols/named_frame.ts";
import type { Symbols } from "../symbols/symbols.ts";

const MISSING: Readonly<Record<StackEnd, string>> = {
  root: "",
  guessed: "", // nothing is missing, as far as can be told
  depth: "(deeper frames cut off)",
  lost: "(callers unknown)",
  full: "(callers not kept: the table was full)",
  none: "(not kept: the table was full)",
};

/** A frame of an exported stack. */
export interface ExportFrame {
  readonly name: string;
  readonly file: string;
  readonly line: number;
  readonly module: string;
  readonly kind: FrameKind;
}

function exported(frame: NamedFrame): ExportFrame {
  const { file, line, module, kind } = frame;
  return { name: frameName(frame), file, line, module, kind };
}

/** The frame that stands for what is missing at a stack's outer end, if anything is. */
export function missingFrame(path: CallPath): ExportFrame | undefined {
  const name = MISSING[path.end];
  return name ? { name, file: "", line: 0, module: "", kind: "system" } : undefined;
}

/** Options of formats that stacks are in. */
export interface StackOptions {
  /** Whether to keep allocation functions at the inner end, what starts a program or a thread at the outer one, and each frame of a recursion. */
  readonly raw?: boolean | undefined;
}

/** A call path's frames, outermost first. */
export function outwardIn(path: CallPath, symbols: Symbols, { raw }: StackOptions): ExportFrame[] {
  const missing = missingFrame(path);
  const stack = symbols.stack(path);
  const kept = raw ? stack : cleanFrames(stack);
  return [...missing ? [missing] : [], ...kept.reverse().map(exported)];
}
