/**
 * The few calls of libc that Bun has no name for.
 *
 * Idea. Opened when the first of them is needed, so that a client never pays for it. Each caller knows the C side of its call (man
 * page in its own header); here are only the signatures.
 *
 * @module
 */
import { dlopen, FFIType, ptr } from "bun:ffi";

const { i32, i64, u32, u64, ptr: pointer } = FFIType;

function open() {
  return dlopen("libc.so.6", {
    socket: { args: [i32, i32, i32], returns: i32 },
    sendto: { args: [i32, pointer, u64, i32, pointer, u32], returns: i64 },
    setsockopt: { args: [i32, i32, i32, pointer, u32], returns: i32 },
    flock: { args: [i32, i32], returns: i32 },
    fcntl: { args: [i32, i32, i32], returns: i32 },
    getsockname: { args: [i32, pointer, pointer], returns: i32 },
    getsockopt: { args: [i32, i32, i32, pointer, pointer], returns: i32 },
    clock_gettime: { args: [i32, pointer], returns: i32 },
  }).symbols;
}

let symbols: ReturnType<typeof open> | null = null;

export function libc(): ReturnType<typeof open> {
  symbols ??= open();
  return symbols;
}

const CLOCK_MONOTONIC = 1;

/** CLOCK_MONOTONIC as systemd counts it; the runtime's own clocks begin with the process. */
export function monotonicMicroseconds(): bigint {
  const timespec = new BigInt64Array(2);
  libc().clock_gettime(CLOCK_MONOTONIC, ptr(timespec));
  return (timespec[0] ?? 0n) * 1_000_000n + (timespec[1] ?? 0n) / 1000n;
}
