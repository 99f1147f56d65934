/** Completions for shells, from a description of the command line. */

/** An option as a shell completes it. */
export interface CompletionOption {
  /** Its names: `-o`, `--out`. */
  readonly flags: readonly string[];
  /** What it does. */
  readonly description: string;
  /** The values that it takes, when they are few. */
  readonly choices: readonly string[];
  /** Whether it takes a value. */
  readonly takesValue: boolean;
}

/** A command with its options. */
export interface CompletionCommand {
  /** Its name. */
  readonly name: string;
  /** What it does. */
  readonly description: string;
  /** Its options. */
  readonly options: readonly CompletionOption[];
  /** What its first argument may be, when that is few. */
  readonly values?: readonly string[] | undefined;
}

/** The shells that completions are written for. */
export type Shell = "bash" | "zsh" | "fish";

/** Text inside single quotes. */
function quoted(text: string): string {
  return `'${text.replace(/'/g, `'\\''`)}'`;
}

function bash(commands: readonly CompletionCommand[]): string {
  const options = commands.map(({ name, options }) =>
    `    ${name}) words=${quoted(options.flatMap((o) => o.flags).join(" "))} ;;`
  );
  const values = commands.flatMap(({ name, options }) =>
    options.filter((o) => o.choices.length > 0).map(({ flags, choices }) =>
      `    ${flags.map((flag) => quoted(`${name} ${flag}`)).join("|")}) words=${quoted(choices.join(" "))} ;;`
    )
  );
  const first = commands.filter(({ values }) => values?.length).map(({ name, values }) =>
    `    ${name}) words=${quoted(values?.join(" ") ?? "")} ;;`
  );
  return `# bash: source <(heaptap completions bash)
_heaptap() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} words= word
  COMPREPLY=()
  # What stands behind -- is another program's.
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ $word != -- ]] || return 0
  done
  case "\${COMP_WORDS[1]} $previous" in
${values.join("\n")}
  esac
  if [[ $COMP_CWORD -eq 2 && $current != -* ]]; then
    case \${COMP_WORDS[1]} in
${first.join("\n")}
    esac
  fi
  if [[ -n $words ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    return
  fi
  if [[ $COMP_CWORD -eq 1 ]]; then
    COMPREPLY=($(compgen -W ${quoted(commands.map((c) => c.name).join(" "))} -- "$current"))
    return
  fi
  [[ $current == -* ]] || return 0
  case \${COMP_WORDS[1]} in
${options.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _heaptap heaptap
`;
}

function zsh(commands: readonly CompletionCommand[]): string {
  // A colon and brackets mean something in a specification.
  const plain = (text: string) => text.replace(/[[\]:]/g, " ");
  const specification = ({ flags, description, choices, takesValue }: CompletionOption) =>
    flags.map((flag) => {
      const value = choices.length > 0 ? `:value:(${choices.join(" ")})` : takesValue ? ":value:_files" : "";
      return quoted(`${flag}[${plain(description)}]${value}`);
    }).join(" ");
  const cases = commands.map(({ name, options, values }) => {
    const first = values?.length ? ` ${quoted(`1:value:(${values.join(" ")})`)}` : "";
    return `    ${name}) _arguments ${options.map(specification).join(" ")}${first} '*:file:_files' ;;`;
  });
  const names = commands.map(({ name, description }) => quoted(`${name}:${plain(description)}`)).join(" ");
  return `#compdef heaptap
# zsh: source <(heaptap completions zsh)
_heaptap() {
  local -a commands
  commands=(${names})
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=\${words[2]}
  shift words
  (( CURRENT-- ))
  case $command in
${cases.join("\n")}
  esac
}
compdef _heaptap heaptap
`;
}

function fish(commands: readonly CompletionCommand[]): string {
  const lines = commands.flatMap(({ name, description, options, values }) => [
    `complete -c heaptap -n __fish_use_subcommand -f -a ${name} -d ${quoted(description)}`,
    ...values?.length
      ? [`complete -c heaptap -n '__fish_seen_subcommand_from ${name}' -f -a ${quoted(values.join(" "))}`]
      : [],
    ...options.map(({ flags, description, choices, takesValue }) => {
      const names = flags.map((flag) => flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`);
      const values = choices.length > 0 ? ` -x -a ${quoted(choices.join(" "))}` : takesValue ? " -r" : "";
      return `complete -c heaptap -n '__fish_seen_subcommand_from ${name}' ${names.join(" ")}${values} -d ${
        quoted(description)
      }`;
    }),
  ]);
  return `# fish: heaptap completions fish | source\n${lines.join("\n")}\n`;
}

/**
 * The completions of a command line for a shell, as a script to source.
 *
 * @example
 * ```ts
 * import { completions } from "./mod.ts";
 *
 * console.log(completions("bash", [{ name: "run", description: "run a program", options: [] }]).length > 0);
 * ```
 */
export function completions(shell: Shell, commands: readonly CompletionCommand[]): string {
  return { bash, zsh, fish }[shell](commands);
}
