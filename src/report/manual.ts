/** The manual page, from a description of the command line. */

/** A command as the manual tells of it. */
export interface ManualCommand {
  /** How it is called: `heaptap run [options] [--] program`. */
  readonly usage: string;
  /** What it does. */
  readonly description: string;
  /** Its arguments and options under their headings, each with what it means. */
  readonly groups: readonly {
    readonly heading: string;
    readonly items: readonly (readonly [term: string, meaning: string])[];
  }[];
  /** Examples, as they are typed. */
  readonly examples: string;
}

/** What is true of all commands. */
const REST = `.SH EXIT STATUS
That of the program that was run, 128+N when signal N ended it; 2 for what the user can mend, with a line that says what; 3 when the program went
well and a budget was not kept; 70 for an error of heaptap's own.
.SH ENVIRONMENT
.TP
.B HEAPTAP_LIBRARY
A compiled library to use, in place of heaptap's own.
.TP
.B XDG_CACHE_HOME
Where the compiled library and names that were looked up are kept, in a folder \\fIheaptap\\fR; \\fI~/.cache\\fR where it is not set.
.TP
.B DEBUGINFOD_URLS
Servers of debug files.
.TP
.B GITHUB_ACTIONS, GITHUB_STEP_SUMMARY
In a workflow budgets that are not kept become annotations, comparisons the summary of the step.
.PP
What the library itself reads, for programs that are started without heaptap run, is in docs/OPTIONS.md.
.SH SEE ALSO
.BR ld.so (8),
.BR malloc (3),
.BR valgrind (1)
`;

/** Text as roff takes it. */
function roff(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replace(/^[.']/gm, "\\&$&");
}

function section({ usage, description, groups, examples }: ManualCommand): string {
  const items = groups.filter(({ items }) => items.length > 0).flatMap(({ heading, items }) => [
    ...[".PP", `.I ${roff(heading)}`],
    ...items.map(([term, meaning]) => `.TP\n.B ${roff(term)}\n${roff(meaning)}`),
  ]);
  const shown = examples && [".PP", ".I Examples:", ".PP", ".nf", ".RS", roff(examples), ".RE", ".fi"].join("\n");
  return [`.SS ${roff(usage)}`, `${roff(description)}.`, ...items, shown].filter(Boolean).join("\n");
}

/** The page of a version, for man. */
export function manual(version: string, description: string, commands: readonly ManualCommand[]): string {
  return `.\\" Made by heaptap man.
.TH HEAPTAP 1 "" "heaptap ${roff(version)}" "User Commands"
.SH NAME
heaptap \\- the allocation profiler you script
.SH SYNOPSIS
.B heaptap
.I command
.RI [ options ]
.SH DESCRIPTION
${roff(description)}
.SH COMMANDS
${commands.map(section).join("\n")}
${REST}`;
}
