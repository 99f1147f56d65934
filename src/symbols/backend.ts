/**
 * The tools that turn addresses into names: one interface, an implementation for each way of talking to one. They keep
 * a process up and talk to it in batches.
 */
import { realpathSync, statSync } from "node:fs";
import { findInPath } from "../native/build.ts";
import { LineTool, ToolError } from "./line_tool.ts";

/** One name for an address; an address inside inlined code has several, innermost first. */
export interface Name {
  /** As the tool or the symbol table has it, demangled or not; "" when unknown. */
  readonly function: string;
  /** Source file, "" when unknown. */
  readonly file: string;
  /** Line, 0 when unknown. */
  readonly line: number;
  /** Whether this function's body was inlined into the next one. */
  readonly inlined: boolean;
}

/** Turns addresses of one ELF file into names. */
export interface Backend {
  /** What does the work. */
  readonly name: string;
  /**
   * Names of each address, in order; an unknown one gives an empty list. Waits so many milliseconds for an answer.
   * Rejects when the tool fails; it can be asked about another file then.
   */
  lookup(file: string, addresses: readonly number[], patience: number): Promise<Name[][]>;
  /** Ends the processes. */
  close(): void;
}

/** Addresses that are sent before their answers are read, so that no pipe fills up. */
const BATCH = 256;

function* batches(addresses: readonly number[]): Generator<readonly number[]> {
  for (let i = 0; i < addresses.length; i += BATCH) yield addresses.slice(i, i + BATCH);
}

interface LlvmAnswer {
  readonly Address?: string;
  readonly Symbol?: readonly { FunctionName?: string; FileName?: string; Line?: number }[];
}

function parseLlvm(line: string, address: number): LlvmAnswer {
  let answer: LlvmAnswer | undefined;
  try {
    answer = JSON.parse(line);
  } catch {
    // Told below.
  }
  if (Number(answer?.Address) !== address || (answer?.Symbol && !Array.isArray(answer.Symbol))) {
    throw new ToolError("what it answered makes no sense");
  }
  return answer as LlvmAnswer;
}

/** llvm-symbolizer: one process for all files. */
class LlvmSymbolizer implements Backend {
  readonly name: string;
  #tool: LineTool | undefined;

  constructor(command: string) {
    this.name = command;
  }

  async lookup(file: string, addresses: readonly number[], patience: number): Promise<Name[][]> {
    const found: Name[][] = [];
    try {
      this.#tool ??= new LineTool(this.name, ["--output-style=JSON", "--inlines", "--demangle"]);
      for (const batch of batches(addresses)) {
        this.#tool.send(batch.map((a) => `CODE "${file}" 0x${a.toString(16)}\n`).join(""));
        for (const address of batch) {
          const { Symbol: symbols = [] } = parseLlvm(await this.#tool.line(patience), address);
          const known = symbols.filter((s) => s.FunctionName || s.FileName);
          found.push(known.map((s, i) => ({
            function: s.FunctionName ?? "",
            file: s.FileName ?? "",
            line: Number(s.Line) || 0,
            inlined: i < known.length - 1,
          })));
        }
      }
    } catch (error) {
      this.close();
      throw error;
    }
    return found;
  }

  close(): void {
    this.#tool?.close();
    this.#tool = undefined;
  }
}

/** addr2line of binutils or elfutils: one process a file. */
class AddressToLine implements Backend {
  readonly name: string;
  #tool: LineTool | undefined;
  #file = "";

  constructor(command: string) {
    this.name = command;
  }

  async lookup(file: string, addresses: readonly number[], patience: number): Promise<Name[][]> {
    if (file !== this.#file) this.close();
    this.#file = file;
    const found: Name[][] = [];
    try {
      const tool = this.#tool ??= new LineTool(this.name, ["-a", "-i", "-f", "-C", "-e", file]);
      for (const batch of batches(addresses)) {
        // An answer ends where the next one's address stands; a last address of no function ends the last.
        tool.send([...batch, 0].map((a) => `0x${a.toString(16)}\n`).join(""));
        let line = await tool.line(patience);
        for (const address of batch) {
          if (!/^0x[0-9a-f]+$/.test(line) || Number(line) !== address) {
            throw new ToolError("what it answered makes no sense");
          }
          const names: Name[] = [];
          line = await tool.line(patience);
          while (!/^0x[0-9a-f]+$/.test(line)) {
            names.push(parseAddressToLine(line, await tool.line(patience)));
            line = await tool.line(patience);
          }
          const known = names.filter((n) => n.function || n.file);
          found.push(known.map((n, i) => ({ ...n, inlined: i < known.length - 1 })));
        }
        // The rest of the last address' answer: one function, one place.
        await tool.line(patience);
        await tool.line(patience);
      }
    } catch (error) {
      this.close();
      throw error;
    }
    return found;
  }

  close(): void {
    this.#tool?.close();
    this.#tool = undefined;
  }
}

function parseAddressToLine(name: string, place: string): Name {
  const [, file = "", line = "0"] = place.match(/^(.*?):(\d+|\?)(?::\d+)?(?: .*)?$/) ?? [];
  const unknown = file === "" || file === "??";
  return {
    // eu-addr2line says "f inlined at file:line in caller".
    function: name === "??" ? "" : name.replace(/ inlined at .*$/, ""),
    file: unknown ? "" : file,
    line: unknown ? 0 : Number(line) || 0,
    inlined: false,
  };
}

/** The tools in order of preference. Any LLVM version will do; Debian numbers them. */
const TOOLS: readonly (readonly [kind: string, commands: readonly string[], make: (command: string) => Backend])[] = [
  [
    "llvm-symbolizer",
    ["llvm-symbolizer", ...Array.from({ length: 12 }, (_, i) => `llvm-symbolizer-${24 - i}`)],
    (command) => new LlvmSymbolizer(command),
  ],
  ["eu-addr2line", ["eu-addr2line"], (command) => new AddressToLine(command)],
  ["addr2line", ["addr2line"], (command) => new AddressToLine(command)],
];

/** A tool that is on this machine. */
export interface Tool {
  /** Path of the program. */
  readonly command: string;
  /** What tells it from another, or from another version of it. */
  readonly identity: string;
  /** Gets it ready. */
  open(): Backend;
}

/**
 * The tools that are there, the best first, one of each kind. `wanted` names one, and then that one alone is meant.
 */
export function findTools(wanted?: string): Tool[] {
  return TOOLS.flatMap(([kind, commands, make]): Tool[] => {
    if (wanted !== undefined && wanted !== kind && !commands.includes(wanted)) return [];
    const names = wanted === undefined || wanted === kind ? commands : [wanted];
    for (const name of names) {
      const command = findInPath(name);
      if (!command) continue;
      const { size, mtimeMs } = statSync(command);
      return [{ command, identity: [realpathSync(command), size, mtimeMs].join(), open: () => make(command) }];
    }
    return [];
  });
}

/** Path of the best symboliser; undefined when there are only symbol tables. */
export function findSymboliser(): string | undefined {
  return findTools()[0]?.command;
}
