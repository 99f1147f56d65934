/** A frame as JSON. */
import type { NamedFrame } from "../symbols/named_frame.ts";

/** Its keys stand in docs/JSON.md. */
export function frameJson(frame: NamedFrame) {
  return {
    function: frame.function,
    // What it is compared by, where that is more than the name.
    ...frame.key !== frame.function && { key: frame.key },
    kind: frame.kind,
    module: frame.module,
    file: frame.file,
    line: frame.line,
    address: `0x${frame.address.toString(16)}`,
    inlined: frame.inlined,
    ...frame.way === "guess" && { guessed: true },
  };
}
