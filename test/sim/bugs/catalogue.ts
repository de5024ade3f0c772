/**
 * The gallery.
 *
 * @module
 */
import type { Bug } from "./bug.ts";
import { RAFT_BUGS } from "./raft-bugs.ts";
import { REGISTRY_BUGS } from "./registry-bugs.ts";
import { STORE_BUGS } from "./store-bugs.ts";

export const BUGS: readonly Bug[] = [...RAFT_BUGS, ...STORE_BUGS, ...REGISTRY_BUGS];
