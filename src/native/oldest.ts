/**
 * The oldest runtimes that heaptap works on. This file is read by them too, before anything that they lack: it imports nothing, and has no syntax that
 * is younger than modules.
 */

/** A version's parts as one number. */
function rank(version: string): number {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map((part) => parseInt(part, 10));
  return (major * 1000 + minor) * 1000 + patch;
}

/** Whether a version is another one, or later. */
export function isFrom(version: string, first: string): boolean {
  return rank(version) >= rank(first);
}

/** Why a runtime is too old, by the versions that it has (`process.versions`); "" when it is not. */
export function tooOld(versions: Readonly<Record<string, string | undefined>>): string {
  const { deno, bun, node = "" } = versions;
  const [name, version, fits] = deno ? ["Deno", deno, isFrom(deno, "2.2")] : bun
    ? ["Bun", bun, isFrom(bun, "1.2.6")]
    // process.getBuiltinModule came with 22.3, and was put into 20.16.
    : ["Node", node, isFrom(node, "22.3") || (isFrom(node, "20.16") && !isFrom(node, "21"))];
  return fits ? "" : `${name} ${version} is too old: heaptap takes Deno 2.2, Bun 1.2.6, Node 20.16 or 22.3, or later`;
}
