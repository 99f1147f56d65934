/** heaptap's version: it stands here alone. */
export const VERSION = "0.1.0";
