/**
 * Messages and entries as bytes.
 *
 *     message   version u8, kind u8, crc32 u32 (of all that follows, seeded with the two before), from, to, term, then the fields of its kind
 *     entry     index, term, kind u8, data (length, bytes)
 *     snapshot  index, term, voters (count, ids), learners (count, ids); during a joint change also outgoing (count, ids)
 *
 * Idea. A version byte in front, a table from kind to number, unsigned varints. Decoding checks everything that the types
 * promise, so that the core never sees a value that its types forbid.
 *
 * Invariants.
 * - Any bytes decode to a message or throw {@link CodecError}; memory taken is in proportion to the bytes given.
 * - decode(encode(m)) equals m.
 * - Numbers of kinds are never reused for another meaning; a new layout is a new version.
 *
 * Not here. Frames and their size limit (adapters/tcp-transport.ts).
 *
 * @module
 */
import { crc32 } from "node:zlib";
import type { Entry, EntryKind, Message, MessageKind, NodeId, SnapshotMeta } from "../types.ts";
import { ByteReader, ByteWriter, CodecError, part, patchU32 } from "./bytes.ts";

export { CodecError } from "./bytes.ts";

const VERSION = 1;
/** Version, kind and checksum. */
const HEADER_BYTES = 6;
/** Index, term, kind and length of the data take at least a byte each. */
const MIN_ENTRY_BYTES = 4;

const MESSAGE_KINDS: readonly MessageKind[] = [
  "pre-vote",
  "pre-vote-reply",
  "vote",
  "vote-reply",
  "append",
  "append-reply",
  "heartbeat",
  "heartbeat-reply",
  "snapshot",
  "read-index",
  "read-index-reply",
  "timeout-now",
  "recovering",
  "recovery-reply",
  "recovered",
];
const ENTRY_KINDS: readonly EntryKind[] = ["normal", "noop", "config"];

const NUMBER_OF_MESSAGE_KIND = new Map(MESSAGE_KINDS.map((kind, number) => [kind, number]));
const NUMBER_OF_ENTRY_KIND = new Map(ENTRY_KINDS.map((kind, number) => [kind, number]));
const CHECKSUM_OF_START = MESSAGE_KINDS.map((_, number) => crc32(Uint8Array.of(VERSION, number)));

export function encodeMessage(message: Message): Uint8Array {
  const number = NUMBER_OF_MESSAGE_KIND.get(message.kind) ?? 0xff;
  const writer = new ByteWriter(message.kind === "append" ? 64 + appendBytes(message.entries) : 64);
  writer.u8(VERSION);
  writer.u8(number);
  writer.u32(0);
  writer.uint(message.from);
  writer.uint(message.to);
  writer.uint(message.term);
  encodeFields(writer, message);
  const bytes = writer.finish();
  patchU32(bytes, 2, checksum(number, bytes));
  return bytes;
}

/** @throws CodecError when the bytes are no message of this version. */
export function decodeMessage(bytes: Uint8Array): Message {
  const reader = new ByteReader(bytes);
  const version = reader.u8();
  if (version !== VERSION) throw new CodecError(`its version is ${version}, this node speaks ${VERSION}`);
  const number = reader.u8();
  const kind = MESSAGE_KINDS[number];
  if (kind === undefined) throw new CodecError("its kind is unknown");
  if (reader.u32() !== checksum(number, bytes)) throw new CodecError("its checksum is wrong");
  const envelope = { from: nodeId(reader), to: nodeId(reader), term: reader.uint() };
  const message = decodeFields(reader, kind, envelope);
  reader.end();
  return message;
}

/** Begins with that of version and kind, of which there are few. */
function checksum(kind: number, bytes: Uint8Array): number {
  return crc32(part(bytes, HEADER_BYTES, bytes.length), CHECKSUM_OF_START[kind]);
}

function encodeFields(writer: ByteWriter, message: Message): void {
  switch (message.kind) {
    case "pre-vote":
      writer.uint(message.lastIndex);
      writer.uint(message.lastTerm);
      return;
    case "vote":
      writer.uint(message.lastIndex);
      writer.uint(message.lastTerm);
      writer.u8(message.transfer ? 1 : 0);
      return;
    case "pre-vote-reply":
    case "vote-reply":
      writer.u8(message.granted ? 1 : 0);
      return;
    case "append":
      writer.uint(message.prevIndex);
      writer.uint(message.prevTerm);
      writer.uint(message.commit);
      writer.uint(message.entries.length);
      for (const entry of message.entries) writeEntry(writer, entry);
      return;
    case "append-reply":
      writer.uint(message.index);
      writer.u8(message.rejected ? 1 : 0);
      writer.uint(message.hintIndex);
      writer.uint(message.hintTerm);
      return;
    case "heartbeat":
      writer.uint(message.commit);
      writer.uint(message.readContext);
      return;
    case "heartbeat-reply":
      writer.uint(message.readContext);
      return;
    case "snapshot":
      writeSnapshotMeta(writer, message.snapshot);
      return;
    case "read-index":
      writer.uint(message.context);
      return;
    case "read-index-reply":
      writer.uint(message.context);
      writer.uint(message.index);
      writer.u8(message.rejected ? 1 : 0);
      return;
    case "timeout-now":
      return;
    case "recovering":
    case "recovered":
      writer.uint(message.recovery);
      return;
    case "recovery-reply":
      writer.uint(message.recovery);
      writer.uint(message.index);
      writer.u8(message.rejected ? 1 : 0);
      writer.uint(message.hintIndex);
      writer.uint(message.hintTerm);
      return;
  }
}

function decodeFields(
  reader: ByteReader,
  kind: MessageKind,
  { from, to, term }: { readonly from: NodeId; readonly to: NodeId; readonly term: number },
): Message {
  switch (kind) {
    case "pre-vote":
      return { kind, from, to, term, lastIndex: reader.uint(), lastTerm: reader.uint() };
    case "vote": {
      const [lastIndex, lastTerm] = [reader.uint(), reader.uint()];
      return { kind, from, to, term, lastIndex, lastTerm, transfer: reader.boolean() };
    }
    case "pre-vote-reply":
      return { kind, from, to, term, granted: reader.boolean() };
    case "vote-reply":
      return { kind, from, to, term, granted: reader.boolean() };
    case "append": {
      const [prevIndex, prevTerm, commit] = [reader.uint(), reader.uint(), reader.uint()];
      return { kind, from, to, term, prevIndex, prevTerm, commit, entries: readEntries(reader, prevIndex) };
    }
    case "append-reply": {
      const [index, rejected] = [reader.uint(), reader.boolean()];
      return { kind, from, to, term, index, rejected, hintIndex: reader.uint(), hintTerm: reader.uint() };
    }
    case "heartbeat":
      return { kind, from, to, term, commit: reader.uint(), readContext: reader.uint() };
    case "heartbeat-reply":
      return { kind, from, to, term, readContext: reader.uint() };
    case "snapshot":
      return { kind, from, to, term, snapshot: readSnapshotMeta(reader) };
    case "read-index":
      return { kind, from, to, term, context: reader.uint() };
    case "read-index-reply":
      return { kind, from, to, term, context: reader.uint(), index: reader.uint(), rejected: reader.boolean() };
    case "timeout-now":
      return { kind, from, to, term };
    case "recovering":
    case "recovered":
      return { kind, from, to, term, recovery: reader.uint() };
    case "recovery-reply": {
      const [recovery, index, rejected] = [reader.uint(), reader.uint(), reader.boolean()];
      return { kind, from, to, term, recovery, index, rejected, hintIndex: reader.uint(), hintTerm: reader.uint() };
    }
  }
}

function writeEntry(writer: ByteWriter, entry: Entry): void {
  writer.uint(entry.index);
  writer.uint(entry.term);
  writer.u8(entryKindNumber(entry.kind));
  writer.bytes(entry.data);
}

/** Entries of an append follow each other: the core relies on it, so a gap is no message at all. */
function readEntries(reader: ByteReader, prevIndex: number): Entry[] {
  const count = reader.count(MIN_ENTRY_BYTES);
  const entries: Entry[] = [];
  for (let i = 0; i < count; i++) {
    const [index, term, kind] = [reader.uint(), reader.uint(), entryKindOf(reader.u8())];
    if (index !== prevIndex + 1 + i) throw new CodecError("its entries do not follow each other");
    entries.push({ index, term, kind, data: reader.bytes() });
  }
  return entries;
}

/** What a log on disk writes for an entry's kind. */
export function entryKindNumber(kind: EntryKind): number {
  return NUMBER_OF_ENTRY_KIND.get(kind) ?? 0xff;
}

export function entryKindOf(number: number): EntryKind {
  const kind = ENTRY_KINDS[number];
  if (kind === undefined) throw new CodecError("the kind of an entry is unknown");
  return kind;
}

export function writeSnapshotMeta(writer: ByteWriter, meta: SnapshotMeta): void {
  writer.uint(meta.index);
  writer.uint(meta.term);
  const { voters, learners, outgoing } = meta.membership;
  for (const ids of outgoing === undefined ? [voters, learners] : [voters, learners, outgoing]) {
    writer.uint(ids.length);
    for (const id of ids) writer.uint(id);
  }
}

/** The last thing in whatever carries it: what follows the learners is the outgoing half. */
export function readSnapshotMeta(reader: ByteReader): SnapshotMeta {
  const [index, term, voters, learners] = [reader.uint(), reader.uint(), nodeIds(reader), nodeIds(reader)];
  if (index === 0 || voters.length === 0) throw new CodecError("a snapshot stands for nothing");
  if (reader.left === 0) return { index, term, membership: { voters, learners } };
  const outgoing = nodeIds(reader);
  if (outgoing.length === 0) throw new CodecError("a joint membership has no outgoing voters");
  return { index, term, membership: { voters, learners, outgoing } };
}

function nodeIds(reader: ByteReader): NodeId[] {
  return Array.from({ length: reader.count(1) }, () => nodeId(reader));
}

function nodeId(reader: ByteReader): NodeId {
  const id = reader.uint();
  if (id === 0) throw new CodecError("a node has no id");
  return id;
}

function appendBytes(entries: readonly Entry[]): number {
  return entries.reduce((sum, entry) => sum + entry.data.length + 24, 0);
}
