/**
 * The ordered map: sorted-btree's B+ tree, whose clones share structure and copy on write.
 *
 * Why a file. The package is CommonJS with an `exports.default`. `bun test` unwraps that default, a compiled binary hands out the
 * whole module in its place (measured on Bun 1.4.5), so a plain default import works in tests and crashes when shipped. A
 * named export means the same in both, and from one the class is found.
 *
 * @module
 */

import type BTreeClass from "sorted-btree";
import { EmptyBTree } from "sorted-btree";

export const BTree = EmptyBTree.constructor as typeof BTreeClass;
export type BTree<K, V> = BTreeClass<K, V>;
