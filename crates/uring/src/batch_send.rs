//! A batch of sends: the same bytes to many sockets.
//!
//! # Why it is safe
//! The kernel gets a pointer to the bytes and the numbers of the sockets. [`BatchSend::send`] borrows both,
//! so the kernel must not use them after it has returned. All sends have `MSG_DONTWAIT`, and this is what
//! makes it sound: the kernel tries such a send while the ring takes it, and completes it at once, with an
//! error if the socket is full. So no send stays open that could use the bytes later. This also holds if
//! the ring fails or a panic ends `send` early: closing the ring cancels what is open, but it may do so
//! after `send` has returned, and would not be enough alone.

use io_uring::{IoUring, Probe, opcode, types};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sends that are submitted at once: enough to make entering the kernel cheap, few enough that the
/// rings stay in the cache.
const BATCH: u32 = 256;
/// A full socket is an error at once: see the module's words on safety.
const MSG_DONTWAIT: i32 = 0x40;
/// A closed socket is an error and no signal.
const MSG_NOSIGNAL: i32 = 0x4000;
const FLAGS: i32 = MSG_DONTWAIT | MSG_NOSIGNAL;
const _: () = assert!(FLAGS & MSG_DONTWAIT != 0, "no send may stay open");
/// What becomes of a send that the ring did not take, `EINTR`: it may be tried again.
const NOT_TAKEN: i32 = -4;
/// What becomes of a send that the ring took and did not give back, `EIO`: nobody knows.
const NOT_RETURNED: i32 = -5;

/// A ring of one thread's own, made and used on that thread.
pub struct BatchSend {
    /// None after the ring has failed.
    ring: Option<IoUring>,
    results: Vec<i32>,
}

impl std::fmt::Debug for BatchSend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchSend").finish_non_exhaustive()
    }
}

impl BatchSend {
    /// Makes a ring for this thread.
    ///
    /// # Errors
    /// If the system has no io_uring, not one that is new enough (6.1), or forbids it.
    pub fn new() -> io::Result<Self> {
        let ring: IoUring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .build(BATCH)?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        if !probe.is_supported(opcode::Send::CODE) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(Self {
            ring: Some(ring),
            results: Vec::new(),
        })
    }

    /// Whether it still works. A ring that has failed stays so.
    pub fn works(&self) -> bool {
        self.ring.is_some()
    }

    /// Sends `bytes` to each of the sockets without waiting for any. The results come in the order of
    /// the sockets: `WouldBlock` is a socket that is full, `Interrupted` one that was not written to
    /// because the ring has failed.
    pub fn send<'fd>(
        &mut self,
        bytes: &[u8],
        sockets: impl Iterator<Item = BorrowedFd<'fd>>,
    ) -> impl ExactSizeIterator<Item = io::Result<usize>> {
        self.results.clear();
        let mut sockets = sockets;
        // Put back only if all went well: otherwise it is closed here.
        if let Some(mut ring) = self.ring.take()
            && submit(&mut ring, bytes, &mut sockets, &mut self.results).is_ok()
        {
            self.ring = Some(ring);
        }
        self.results.extend(sockets.map(|_| NOT_TAKEN));
        self.results.iter().map(|&result| match result {
            0.. => Ok(result as usize),
            error => Err(io::Error::from_raw_os_error(-error)),
        })
    }
}

/// Submits a send for each socket, a batch at a time, and waits until each batch is completed.
fn submit<'fd>(
    ring: &mut IoUring,
    bytes: &[u8],
    sockets: &mut impl Iterator<Item = BorrowedFd<'fd>>,
    results: &mut Vec<i32>,
) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    loop {
        let mut submitted = 0;
        {
            let mut queue = ring.submission();
            for socket in sockets.take(BATCH as usize) {
                let entry =
                    opcode::Send::new(types::Fd(socket.as_raw_fd()), bytes.as_ptr(), length)
                        .flags(FLAGS)
                        .build()
                        .user_data(results.len() as u64);
                results.push(NOT_RETURNED);
                // SAFETY: the entry points at `bytes` and names `socket`, both borrowed by `BatchSend::send`
                // until it returns; with `MSG_DONTWAIT` no send is open then: see the module's words.
                #[expect(unsafe_code, reason = "the kernel is given a pointer")]
                let pushed = unsafe { queue.push(&entry) };
                pushed.map_err(|_| io::ErrorKind::OutOfMemory)?;
                submitted += 1;
            }
        }
        if submitted == 0 {
            return Ok(());
        }
        while submitted > 0 {
            match ring.submit_and_wait(1) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            for done in ring.completion() {
                if let Some(result) = results.get_mut(done.user_data() as usize) {
                    *result = done.result();
                }
                submitted -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    /// A ring, or none where the system has none: then there is nothing to test.
    fn batch_send() -> Option<BatchSend> {
        let made = BatchSend::new();
        if let Err(error) = &made {
            eprintln!("skipped: no io_uring here: {error}");
        }
        made.ok()
    }

    #[test]
    fn everybody_gets_the_bytes_and_full_and_closed_sockets_are_named() {
        let Some(mut batch_send) = batch_send() else {
            return;
        };
        // More than two batches.
        let mut pairs: Vec<_> = (0..600).map(|_| UnixStream::pair().unwrap()).collect();
        // One is full, one is gone.
        pairs[7].0.set_nonblocking(true).unwrap();
        while std::io::Write::write(&mut &pairs[7].0, &[0; 65_536]).is_ok() {}
        pairs[300].1 = UnixStream::pair().unwrap().0;
        for round in 0..3_u8 {
            let bytes = vec![round; 1_000];
            let results: Vec<_> = batch_send
                .send(&bytes, pairs.iter().map(|(ours, _)| ours.as_fd()))
                .collect();
            assert_eq!(results.len(), 600);
            for (number, result) in results.into_iter().enumerate() {
                match number {
                    7 => assert_eq!(result.unwrap_err().kind(), io::ErrorKind::WouldBlock),
                    300 => assert_eq!(result.unwrap_err().kind(), io::ErrorKind::BrokenPipe),
                    _ => {
                        assert_eq!(result.unwrap(), 1_000);
                        let mut got = vec![0; 1_000];
                        pairs[number].1.read_exact(&mut got).unwrap();
                        assert_eq!(got, bytes);
                    }
                }
            }
        }
        assert!(batch_send.works());
    }

    #[test]
    fn nobody_to_send_to_is_no_system_call_and_no_error() {
        let Some(mut batch_send) = batch_send() else {
            return;
        };
        assert_eq!(batch_send.send(b"x", std::iter::empty()).len(), 0);
        assert!(batch_send.works());
    }
}
