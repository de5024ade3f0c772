/**
 * Snapshot: the whole store as a stream of bytes, and back.
 *
 * Format. Frames of { length u32, crc32 u32, payload }; the first byte of a payload says what it holds:
 *   header  version, position, revision, compactRevision, last chosen lease
 *   leases  {id, ttlMs}*
 *   changes {revision, change}*, by revision; a revision may go on in the next frame
 *   end     how many leases and changes there were
 *
 * Idea. Frames are small, so that a writer can pause between two of them, and each is checked by itself. The reader takes
 * bytes as they come: whoever carries them may cut them anew. It builds the new state meanwhile, a frame at a time, so that nothing is
 * left to do when the last one is there.
 *
 * Invariants.
 * - A snapshot without its end frame, or with one frame damaged, missing or twice, is refused whole.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import { BinaryReader, BinaryWriter, CodecError } from "../lib/binary.ts";
import { refuseNewer } from "../lib/format.ts";
import type { Change } from "./change.ts";
import { Tally } from "./digest.ts";
import { History } from "./history.ts";
import { toBytes, toKey } from "./key.ts";
import { KeyIndex } from "./key-index.ts";
import type { Lease, LeaseId, Revision } from "./kv.ts";
import { LeaseTable } from "./lease-table.ts";

export interface SnapshotContent {
  readonly position: number;
  readonly revision: Revision;
  readonly compactRevision: Revision;
  readonly lastChosenLease: LeaseId;
  readonly leases: readonly Lease[];
  readonly history: History;
}

/** A whole state, ready to take another's place. */
export interface ReadSnapshot {
  readonly position: number;
  readonly revision: Revision;
  readonly compactRevision: Revision;
  readonly changesAboveFloor: number;
  readonly leases: LeaseTable;
  readonly history: History;
  readonly index: KeyIndex;
  readonly tally: Tally;
}

const VERSION = 1;
const HEADER = 1;
const LEASES = 2;
const CHANGES = 3;
const END = 4;
/** A frame is closed once it holds this much: below a millisecond of work. */
const SLICE_BYTES = 64 * 1024;
/** One slice and the largest change that can follow it, with room to spare. */
const FRAME_BYTES_MAX = 16 * 1024 * 1024;
const FRAME_HEAD_BYTES = 8;

export function* snapshotSlices(content: SnapshotContent): Generator<Uint8Array> {
  const { position, revision, compactRevision, lastChosenLease } = content;
  const header = payload(HEADER).varint(VERSION).varint(position).varint(revision);
  yield frame(header.varint(compactRevision).varint(lastChosenLease));
  let slice = payload(LEASES);
  for (const { id, ttlMs } of content.leases) {
    slice.varint(id).varint(ttlMs);
    if (slice.length < SLICE_BYTES) continue;
    yield frame(slice);
    slice = payload(LEASES);
  }
  yield frame(slice);
  slice = payload(CHANGES);
  let changeCount = 0;
  for (const [, changes] of content.history.since(0)) {
    for (const change of changes) {
      writeChange(slice, change);
      changeCount++;
      if (slice.length < SLICE_BYTES) continue;
      yield frame(slice);
      slice = payload(CHANGES);
    }
  }
  yield frame(slice);
  yield frame(payload(END).varint(content.leases.length).varint(changeCount));
}

/** Equal changes have equal bytes, on every replica. */
export function writeChange(writer: BinaryWriter, change: Change): BinaryWriter {
  writer
    .varint(change.revision)
    .bytes(toBytes(change.key))
    .bool(change.value !== null);
  if (change.value === null) return writer;
  return writer.bytes(change.value).varint(change.createRevision).varint(change.version).varint(change.lease);
}

function readChange(reader: BinaryReader): Change {
  const revision = reader.varint();
  const key = toKey(reader.bytes());
  if (!reader.bool()) return { key, revision, value: null, createRevision: 0, version: 0, lease: 0 };
  const value = reader.bytes().slice();
  return { key, revision, value, createRevision: reader.varint(), version: reader.varint(), lease: reader.varint() };
}

function payload(kind: number): BinaryWriter {
  return new BinaryWriter(1024).u32(0).u32(0).u8(kind);
}

function frame(writer: BinaryWriter): Uint8Array {
  const bytes = writer.finish();
  const body = bytes.subarray(FRAME_HEAD_BYTES);
  const head = new DataView(bytes.buffer);
  head.setUint32(0, body.length);
  head.setUint32(4, crc32(body));
  return bytes;
}

export class SnapshotReader {
  #pending: Uint8Array = new Uint8Array(0);
  #header: Pick<ReadSnapshot, "position" | "revision" | "compactRevision"> | undefined;
  #leases = new LeaseTable();
  readonly #history = new History();
  readonly #index = new KeyIndex();
  readonly #tally = new Tally();
  #revision: Revision = 0;
  #changes: Change[] = [];
  #leaseCount = 0;
  #changeCount = 0;
  #changesAboveFloor = 0;
  #ended = false;

  /** @throws CodecError as soon as something is wrong. */
  write(chunk: Uint8Array): void {
    let rest = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    while (rest.length >= FRAME_HEAD_BYTES) {
      const head = new DataView(rest.buffer, rest.byteOffset, FRAME_HEAD_BYTES);
      const length = head.getUint32(0);
      if (length > FRAME_BYTES_MAX) throw new CodecError(`Reading snapshot failed: a frame of ${length} bytes`);
      if (rest.length < FRAME_HEAD_BYTES + length) break;
      const body = rest.subarray(FRAME_HEAD_BYTES, FRAME_HEAD_BYTES + length);
      if (crc32(body) !== head.getUint32(4)) throw new CodecError("Reading snapshot failed: a checksum does not match");
      this.#frame(new BinaryReader(body));
      rest = rest.subarray(FRAME_HEAD_BYTES + length);
    }
    this.#pending = rest.slice();
  }

  finish(): ReadSnapshot {
    if (this.#header === undefined || !this.#ended || this.#pending.length > 0) {
      throw new CodecError("Reading snapshot failed: it ends too early");
    }
    return {
      ...this.#header,
      changesAboveFloor: this.#changesAboveFloor,
      leases: this.#leases,
      history: this.#history,
      index: this.#index,
      tally: this.#tally,
    };
  }

  #frame(reader: BinaryReader): void {
    if (this.#ended) throw new CodecError("Reading snapshot failed: it goes on after its end");
    const kind = reader.u8();
    if ((kind === HEADER) !== (this.#header === undefined)) {
      throw new CodecError("Reading snapshot failed: its header is missing or not first");
    }
    if (kind === HEADER) this.#readHeader(reader);
    else if (kind === LEASES) this.#readLeases(reader);
    else if (kind === CHANGES) this.#readChanges(reader);
    else if (kind === END) this.#readEnd(reader);
    else throw new CodecError(`Reading snapshot failed: a frame of unknown kind ${kind}`);
    reader.end();
  }

  #readHeader(reader: BinaryReader): void {
    const version = reader.varint();
    refuseNewer("a snapshot of the store", version, VERSION);
    if (version !== VERSION) throw new CodecError(`Reading snapshot failed: there is no format ${version}`);
    this.#header = { position: reader.varint(), revision: reader.varint(), compactRevision: reader.varint() };
    this.#leases = new LeaseTable(reader.varint());
  }

  #readLeases(reader: BinaryReader): void {
    while (reader.remaining > 0) {
      const lease = { id: reader.varint(), ttlMs: reader.varint() };
      this.#leases.restore(lease);
      this.#tally.addLease(lease);
      this.#leaseCount++;
    }
  }

  #readChanges(reader: BinaryReader): void {
    while (reader.remaining > 0) {
      const change = readChange(reader);
      if (change.revision < this.#revision || change.revision > (this.#header?.revision ?? 0)) {
        throw new CodecError(`Reading snapshot failed: revision ${change.revision} is out of order`);
      }
      if (change.revision !== this.#revision) this.#closeRevision();
      this.#revision = change.revision;
      this.#take(change);
    }
  }

  #take(change: Change): void {
    this.#leases.move(change.key, this.#index.latest(change.key)?.lease ?? 0, change.lease);
    this.#index.add(change);
    this.#tally.add(change);
    this.#changes.push(change);
    this.#changeCount++;
    if (change.revision > (this.#header?.compactRevision ?? 0)) this.#changesAboveFloor++;
  }

  #readEnd(reader: BinaryReader): void {
    this.#closeRevision();
    this.#ended = true;
    if (reader.varint() !== this.#leaseCount || reader.varint() !== this.#changeCount) {
      throw new CodecError("Reading snapshot failed: frames are missing");
    }
  }

  #closeRevision(): void {
    if (this.#changes.length > 0) this.#history.append(this.#revision, this.#changes);
    this.#changes = [];
  }
}
