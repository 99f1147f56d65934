/** Programs that the command line runs: how they end, and the signals that it gets meanwhile. */
import type { ChildProcess } from "node:child_process";
import { constants } from "node:os";
import process from "node:process";
import { targetOf } from "../native/terminals.ts";

/**
 * Signals that reach only us and are the program's. Those that a terminal sends (Ctrl-C, Ctrl-\) go
 * to the whole foreground group: the program has them already, and we only must not die of them.
 */
export function passSignals(kill: (signal: NodeJS.Signals) => void): () => void {
  const onTerminal = ([0, 1, 2] as const).some((descriptor) => targetOf(descriptor).isTTY);
  const handlers = (["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const).map((signal) => {
    const fromTerminal = onTerminal && (signal === "SIGINT" || signal === "SIGQUIT");
    const handler = () => fromTerminal ? undefined : kill(signal);
    try {
      process.on(signal, handler);
    } catch {
      // A runtime that keeps this signal for itself.
    }
    return [signal, handler] as const;
  });
  return () => handlers.forEach(([signal, handler]) => process.off(signal, handler));
}

/** Not `child.kill`: Deno would then report that signal as the end, whatever the program made of it. */
export function pass(pid: number | undefined, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(pid, signal);
  } catch {
    // It has ended already.
  }
}

/** How a program ended. */
export interface Ended {
  /** Its exit status; 128 + N when signal N ended it. */
  readonly exitCode: number;
  /** Number of the signal that ended it, 0 for none. */
  readonly signal: number;
}

/** Waits for a program's end. Throws when it could not be started. */
export async function endOf(child: ChildProcess): Promise<Ended> {
  const [code, name] = await new Promise<[number | null, NodeJS.Signals | null]>((done, fail) => {
    child.on("error", fail);
    child.on("exit", (...end) => done(end));
  });
  const signal = name ? constants.signals[name] : 0;
  return { exitCode: signal ? 128 + signal : code ?? 1, signal };
}
