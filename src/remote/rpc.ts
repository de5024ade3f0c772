/**
 * Typed calls: a method of etcd's API, described by the generated code, on a connection.
 *
 * @module
 */
import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { reasonOf } from "../lib/log.ts";
import type { Connection, GrpcCallOptions } from "./grpc/connection.ts";
import { GrpcError, Status } from "./grpc/status.ts";

/** etcd's bidirectional lease method answers one message with one message: it fits, too. */
export type Method<I extends DescMessage, O extends DescMessage> = DescMethod & {
  readonly input: I;
  readonly output: O;
};

export function methodPath(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

export function encodeRequest<I extends DescMessage>(schema: I, request: MessageInitShape<I>): Uint8Array {
  return toBinary(schema, create(schema, request));
}

/** Throws GrpcError on bytes that are no such message. */
export function decodeMessage<O extends DescMessage>(schema: O, bytes: Uint8Array): MessageShape<O> {
  try {
    return fromBinary(schema, bytes, { readUnknownFields: false });
  } catch (error) {
    throw new GrpcError(Status.internal, `the answer cannot be read: ${reasonOf(error)}`, "no-answer");
  }
}

export async function ask<I extends DescMessage, O extends DescMessage>(
  connection: Connection,
  method: Method<I, O>,
  request: Uint8Array,
  options: GrpcCallOptions,
): Promise<MessageShape<O>> {
  return decodeMessage(method.output, await connection.call(methodPath(method), request, options));
}
