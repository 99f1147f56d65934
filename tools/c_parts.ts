/** The parts of the C tests, the longest first: each is a run of test_c.ts of its own in ok.ts. */
export const C_PARTS = ["unwinding", "model", "sampling", "tables", "matching", "names", "library"] as const;
export type CPart = typeof C_PARTS[number];
