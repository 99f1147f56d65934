/**
 * What programs are there to do, by their names: which start others and wait, and which are the small tools that scripts
 * call on the way. Names alone decide nothing (see asked.ts).
 */
import { basename } from "node:path";

function set(...names: string[]): ReadonlySet<string> {
  return new Set(names.join(" ").split(/\s+/));
}

/** Their arguments are a command, or a script of commands. */
const SHELLS = set("sh bash dash zsh ksh mksh fish ash busybox tcsh csh rbash");

/** Their arguments end with the command that they start. */
const WRAPPERS = set(
  "env timeout nice ionice time chrt taskset numactl setarch linux32 linux64 nohup setsid stdbuf unbuffer script flock",
  "xargs parallel watch entr run-parts xvfb-run xwfb-run dbus-run-session dbus-launch faketime fakeroot proot chroot",
  "unshare nsenter setpriv gosu su-exec sudo su doas runuser start-stop-daemon daemon tini dumb-init catatonit s6-svscan",
  "strace ltrace perf rr catchsegv ccache sccache distcc icecc colorgcc torsocks proxychains proxychains4 tsocks",
  "mpirun mpiexec srun cpulimit choom prlimit setserial softlimit envdir direnv pyenv rbenv nodenv asdf mise bundle",
);

/** Their arguments are targets or tasks, and what to start is written elsewhere. */
const BUILDERS = set(
  "make gmake mingw32-make ninja samu cmake ctest meson scons bazel buck2 just task rake cargo npm npx pnpm pnpx yarn",
  "yarnpkg corepack tox nox invoke poetry pipenv hatch pdm uv uvx rye gradle gradlew mvn prove cpan cpanm catkin colcon",
  "cc gcc c++ g++ c89 c99 gfortran gdc gnat gccgo collect2",
);

/** Called for a moment by scripts. */
const HELPERS = set(
  "[ awk base32 base64 basename cat chgrp chmod chown cksum cmp cp cut date dd df diff dirname du echo egrep env expand",
  "expr false fgrep find fmt fold gawk getconf getent getopt git grep groups gzip head hostname id install join kill",
  "less ln locale logname ls lsb_release mawk mcookie md5sum mkdir mkfifo mknod mktemp more mv nawk nproc numfmt od paste",
  "pathchk pgrep pkill pr printenv printf ps pwd readlink realpath rm rmdir sed seq sha1sum sha256sum sleep sort split",
  "stat stty sum sync tac tail tar tee test touch tput tr true truncate tsort tty uname uniq unlink wc which who whoami",
  "xauth xset xdpyinfo yes",
);

/** Programs that run scripts: which one is told by the script's name. */
const INTERPRETERS = /^(sh|bash|dash|zsh|ksh|fish|node|nodejs|deno|bun|python|pypy|perl|ruby|php)(\d+(\.\d+)*)?$/;

/** A compiler driver under its whole name: `x86_64-linux-gnu-gcc-12`. */
const COMPILER = /^(?:[\w.]+-)*?(gcc|g\+\+|cpp|cc|c\+\+|gfortran)(?:-\d+(?:\.\d+)*)?$/;

/** How a program stands to those that it starts. */
export type Role = "shell" | "wrapper" | "builder" | "helper" | "program";

/** Builders that do other work too: what they are told to do first, where that starts the user's program. */
const TASKS: Readonly<Record<string, RegExp>> = {
  npm: /^(run|run-script|rum|urn|test|t|tst|start|stop|restart|exec|x)$/,
  pnpm: /^(run|test|t|start|exec|dlx)$/,
  yarn: /^(run|test|start|exec|dlx|workspaces?)$/,
  uv: /^run$/,
  poetry: /^run$/,
  pipenv: /^run$/,
  hatch: /^run$/,
  pdm: /^run$/,
  cmake: /^--build$/,
  cargo: /^(b|build|r|run|t|test|c|check|bench|install|nextest)$/,
};

function roleOf(name: string, args: readonly string[]): Role | undefined {
  if (SHELLS.has(name)) return "shell";
  if (WRAPPERS.has(name)) return "wrapper";
  if (BUILDERS.has(name)) {
    const told = TASKS[name];
    return told && !args.some((arg) => told.test(arg)) ? "program" : "builder";
  }
  if (COMPILER.test(name)) return "builder";
  return HELPERS.has(name) ? "helper" : undefined;
}

/** Options of interpreters whose value is the next argument, by what the interpreter's name begins with. */
const VALUED: readonly (readonly [interpreter: RegExp, options: RegExp])[] = [
  [/^(python|pypy)/, /^-[a-zA-Z]*[XWQ]$|^--check-hash-based-pycs$/],
  [
    /^(node|deno|bun)/,
    /^(-r|-C|--require|--import|--preload|--loader|--experimental-loader|--conditions|--input-type|--config|--import-map|--cwd|--title)$/,
  ],
  [/^perl/, /^-[a-zA-Z]*I$/],
  [/^ruby/, /^-[a-zA-Z]*[IrCE]$/],
  [/^php/, /^-[dcz]$/],
  [/^(sh|bash|dash|zsh|ksh|fish)/, /^([-+][a-zA-Z]*[oO]|--rcfile|--init-file|--init-command)$/],
];

/** Where an interpreter's arguments name the script, or the module with -m; -1 where they hold the script itself. */
function scriptAt(interpreter: string, command: readonly string[]): number {
  const [, valued] = VALUED.find(([name]) => name.test(interpreter)) ?? [];
  const at = command.findIndex((arg, i) =>
    i > 0 && !valued?.test(command[i - 1] ?? "") && (!arg.startsWith("-") || /^-[a-zA-Z]*[cem]$/.test(arg))
  );
  return command[at] === "-m" ? at + 1 : command[at]?.startsWith("-") ? -1 : at;
}

/** What a person calls a program: of an interpreter with its script. */
export function programName(executable: string, command: readonly string[]): string {
  const [called = ""] = command;
  const at = INTERPRETERS.test(basename(executable)) ? scriptAt(basename(executable), command) : -1;
  // A subcommand such as Deno's `run` stands before the script, and is not told either.
  return at > 0 ? `${called} ${command[at]}` : called || executable;
}

/** What a program is there to do, told by its file and its arguments. */
export function role(executable: string, command: readonly string[]): Role {
  const file = basename(executable);
  if (INTERPRETERS.test(file)) {
    const at = scriptAt(file, command);
    const script = basename(command[at] ?? "").replace(/\.(js|cjs|mjs|py|pl|rb)$/, "").replace(/-cli$/, "");
    const found = at > 0 ? roleOf(script, command.slice(at + 1)) : undefined;
    if (found && found !== "helper") return found;
  }
  const called = basename(command[0] ?? "");
  // Some files have several names: busybox, coreutils in one file, a compiler's links.
  return roleOf(file, command.slice(1)) ?? roleOf(called, command.slice(1)) ?? "program";
}

/** Whether a file is a dynamic linker, which can start programs too. */
export function isLoader(path: string): boolean {
  return /^ld(-linux-x86-64|-linux|-musl-x86_64|64|-\d[\d.]*)?\.so(\.\d+)*$/.test(basename(path));
}
