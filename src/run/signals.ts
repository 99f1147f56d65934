/** Signals that the command line gets while a program of its runs. */
import process from "node:process";

/**
 * Signals that reach only us and are the program's. Those that a terminal sends (Ctrl-C, Ctrl-\) go
 * to the whole foreground group: the program has them already, and we only must not die of them.
 */
export function passSignals(kill: (signal: NodeJS.Signals) => void): () => void {
  const onTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
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
