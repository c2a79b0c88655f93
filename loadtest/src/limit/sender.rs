//! The sender of the ceiling: frames made fresh for every pass, one system call per socket.
//!
//! A ring of buffers, as a server would have it: bytes that were just made are in the cache, those of
//! the last pass still belong to the kernel's sockets.

use super::{LimitOptions, Method};
use crate::{machine, socket};
use rustix::io::Errno;
use std::io::IoSlice;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tapecast_model::{Mono, clock};

/// The smallest payload that holds what the reader looks for.
pub(super) const SIZE_MIN: usize = 80;
pub(super) const SIZE_MAX: usize = 65_000;
const BUFFERS: usize = 64;
const PAGE: usize = 4096;
/// How long the rest of a partial write may take beyond the end.
const GRACE: Duration = Duration::from_secs(2);

/// What was sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    pub(super) whole: u64,
    pub(super) partial: u64,
    pub(super) full: u64,
    pub(super) failed: u64,
    pub(super) bytes: u64,
    pub(super) elapsed: Duration,
    pub(super) cpu: Duration,
}

/// The frames of the passes that were made last.
struct FrameRing {
    bytes: Vec<u8>,
    /// Where the first page begins.
    start: usize,
    slot: usize,
    size: usize,
    batch: usize,
    number: u64,
}

/// Sends to all sockets until the time is over.
pub(super) fn send_all(sockets: &[OwnedFd], options: &LimitOptions) -> Sent {
    let mut ring = FrameRing::new(options.size, options.batch);
    let mut sent = Sent::default();
    let began = clock::mono_now();
    let end = began.after(Duration::from_secs_f64(options.seconds));
    let cpu = machine::process_cpu();
    let mut pass = 0;
    loop {
        let now = clock::mono_now();
        if now >= end {
            break;
        }
        let range = ring.fill(pass, now);
        pass += 1;
        let run = &ring.bytes[range];
        match options.method {
            Method::Send => {
                for socket in sockets {
                    sent.note(send_call(socket, run), socket, run, end);
                }
            }
            Method::Inline => {
                for socket in sockets {
                    sent.note(rustix::net::send(socket, run, flags()), socket, run, end);
                }
            }
            Method::Writev => {
                let frame = run.len() / options.batch;
                let slices: Vec<IoSlice<'_>> = run.chunks(frame).map(IoSlice::new).collect();
                for socket in sockets {
                    sent.note(writev_call(socket, &slices), socket, run, end);
                }
            }
        }
    }
    sent.elapsed = clock::mono_now() - began;
    sent.cpu = machine::process_cpu().saturating_sub(cpu);
    sent
}

/// A call and a return around the system call, as every program has that goes through the C library.
/// Without them ([`Method::Inline`]) a fifth more was measured on one machine; why is not established.
#[inline(never)]
fn send_call(socket: &OwnedFd, run: &[u8]) -> Result<usize, Errno> {
    rustix::net::send(socket, run, flags())
}

/// As [`send_call`].
#[inline(never)]
fn writev_call(socket: &OwnedFd, slices: &[IoSlice<'_>]) -> Result<usize, Errno> {
    rustix::io::writev(socket, slices)
}

fn flags() -> rustix::net::SendFlags {
    rustix::net::SendFlags::DONTWAIT | rustix::net::SendFlags::NOSIGNAL
}

// === impl Sent ===

impl Sent {
    #[inline]
    fn note(&mut self, outcome: Result<usize, Errno>, socket: &OwnedFd, run: &[u8], end: Mono) {
        match outcome {
            Ok(written) if written == run.len() => self.whole += 1,
            Ok(written) => {
                self.partial += 1;
                self.finish(socket, &run[written..], end);
            }
            Err(Errno::AGAIN | Errno::NOBUFS) => {
                self.full += 1;
                return;
            }
            Err(_) => {
                self.failed += 1;
                return;
            }
        }
        self.bytes += run.len() as u64;
    }

    /// Writes the rest, so that the stream stays valid.
    #[cold]
    fn finish(&mut self, socket: &OwnedFd, mut rest: &[u8], end: Mono) {
        let deadline = end.after(GRACE);
        while !rest.is_empty() && clock::mono_now() < deadline {
            match socket::send(socket, rest) {
                Ok(written) => rest = &rest[written..],
                Err(_) => break,
            }
        }
        self.failed += u64::from(!rest.is_empty());
    }
}

// === impl FrameRing ===

impl FrameRing {
    fn new(size: usize, batch: usize) -> Self {
        let slot = batch * (size + 8);
        let bytes = vec![0; slot * BUFFERS + PAGE];
        let start = bytes.as_ptr().align_offset(PAGE).min(PAGE);
        Self {
            bytes,
            start,
            slot,
            size,
            batch,
            number: 0,
        }
    }

    /// Makes the frames of a pass; where they are.
    fn fill(&mut self, pass: usize, now: Mono) -> Range<usize> {
        let begin = self.start + (pass % BUFFERS) * self.slot;
        let mut at = begin;
        for _ in 0..self.batch {
            at += write_frame(&mut self.bytes[at..], self.size, now.get(), self.number);
            self.number += 1;
        }
        begin..at
    }
}

/// `{"e":1,"t":<19 digits>,"n":<10 digits>,"s":"t0","x":"abc…"}` of exactly `size` bytes, with its
/// WebSocket header; how long it is.
fn write_frame(out: &mut [u8], size: usize, nanos: u64, number: u64) -> usize {
    let mut at = match u16::try_from(size) {
        Ok(short) if short < 126 => {
            out[..2].copy_from_slice(&[0x81, size as u8]);
            2
        }
        medium => {
            let [high, low] = medium.unwrap_or(u16::MAX).to_be_bytes();
            out[..4].copy_from_slice(&[0x81, 126, high, low]);
            4
        }
    };
    let end = at + size;
    let mut put = |text: &[u8]| {
        out[at..at + text.len()].copy_from_slice(text);
        at += text.len();
    };
    put(b"{\"e\":1,\"t\":");
    put(&digits::<19>(nanos));
    put(b",\"n\":");
    put(&digits::<10>(number));
    put(b",\"s\":\"t0\",\"x\":\"");
    for (place, byte) in out[at..end - 2].iter_mut().enumerate() {
        *byte = b'a' + ((at + place) % 26) as u8;
    }
    out[end - 2..end].copy_from_slice(b"\"}");
    end
}

fn digits<const N: usize>(mut number: u64) -> [u8; N] {
    let mut text = [b'0'; N];
    for digit in text.iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{FrameScanner, SentEvent};
    use crate::ws;

    #[test]
    fn frames_have_the_size_asked_for_and_can_be_read() {
        for size in [SIZE_MIN, 125, 126, 200, SIZE_MAX] {
            let mut ring = FrameRing::new(size, 3);
            for pass in 0..(BUFFERS + 2) {
                let range = ring.fill(pass, Mono::new(12));
                let mut run = &ring.bytes[range];
                for place in 0..3 {
                    let (frame, length) = ws::next_frame(run).unwrap().unwrap();
                    assert_eq!(frame.payload.len(), size);
                    let id = (pass * 3 + place) as u64;
                    let event = FrameScanner::new().ceiling(frame.payload);
                    assert_eq!(event, Some(SentEvent { id, stamp: 12 }));
                    run = &run[length..];
                }
                assert!(run.is_empty());
            }
        }
    }
}
