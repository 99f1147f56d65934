/** What a release is made of, as CycloneDX: the packages that it brings, by the lock file, and what the program of one file has in it besides. */
import { Buffer } from "node:buffer";
import { randomUUID } from "node:crypto";

/** A package as a lock file has it. */
interface Locked {
  readonly version: string;
  readonly integrity?: string;
  readonly license?: string;
  readonly dev?: boolean;
}

function component(name: string, { version, integrity, license }: Locked, type = "library") {
  const [algorithm, digest = ""] = integrity?.split("-") ?? [];
  const hash = { alg: "SHA-512", content: Buffer.from(digest, "base64").toString("hex") };
  return {
    type,
    "bom-ref": `${name}@${version}`,
    name,
    version,
    ...license ? { licenses: [/ /.test(license) ? { expression: license } : { license: { id: license } }] } : {},
    ...algorithm === "sha512" ? { hashes: [hash] } : {},
    purl: `pkg:npm/${name.replace("@", "%40")}@${version}`,
  };
}

/** The bill of materials of a version, by the text of package-lock.json. `made` is when, in ISO's form. */
export function sbom(version: string, lock: string, made: string): unknown {
  const packages = Object.entries(JSON.parse(lock).packages as Record<string, Locked>)
    .map(([path, locked]) => [path.replace(/^.*node_modules\//, ""), locked] as const);
  const bun = packages.find(([name]) => name === "bun");
  const brought = packages.filter(([name, { dev }]) => name !== "" && !dev).map(([name, of]) => component(name, of));
  // The program of one file is Bun with the rest in it.
  if (bun) brought.push(component(...bun, "platform"));
  const own = component("heaptap", { version, license: "MIT" }, "application");
  return {
    $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    serialNumber: `urn:uuid:${randomUUID()}`,
    version: 1,
    metadata: { timestamp: made, component: own },
    components: brought,
    dependencies: [
      { ref: own["bom-ref"], dependsOn: brought.map((of) => of["bom-ref"]) },
      ...brought.map((of) => ({ ref: of["bom-ref"] })),
    ],
  };
}
