/**
 * Whether stdin, stdout and stderr are terminals. A runtime's streams for them take as long to make as all else of a short command (10 ms
 * on Bun), so that they are asked only where there is a device that may be one.
 */
import { fstatSync } from "node:fs";
import process from "node:process";

const STREAMS = [() => process.stdin, () => process.stdout, () => process.stderr] as const;
/** The number of /dev/null as a device. */
const NULL_DEVICE = 0x103;

/** What a report's looks depend on of where it goes. */
export interface Target {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

/** Whether a descriptor is a terminal, and how wide that is. */
export function targetOf(descriptor: 0 | 1 | 2): Target {
  try {
    const device = fstatSync(descriptor);
    if (!device.isCharacterDevice() || device.rdev === NULL_DEVICE) return { isTTY: false };
  } catch {
    return { isTTY: false }; // it is closed
  }
  const stream: { readonly isTTY?: boolean; readonly columns?: number } = STREAMS[descriptor]();
  return { isTTY: stream.isTTY === true, columns: stream.columns };
}
