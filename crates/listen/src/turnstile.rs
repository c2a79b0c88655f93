//! Answering a connection that is refused, and closing it.

use socket2::SockRef;
use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// Answers connections of which nothing is to be read. Some at a time are given a moment to read it; when
/// there are more, the answer is written and the connection closed at once.
#[derive(Debug)]
pub struct Turnstile(Arc<Semaphore>);

impl Default for Turnstile {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LINGERING_MAX)))
    }
}

impl Turnstile {
    /// Answers and closes.
    pub fn turn_away(&self, stream: TcpStream, answer: Vec<u8>) {
        let Ok(slot) = Arc::clone(&self.0).try_acquire_owned() else {
            return turn_away_now(&stream, &answer);
        };
        tokio::spawn(async move {
            let _slot = slot;
            let mut stream = stream;
            // What is left undone then is not worth more.
            let _ = tokio::time::timeout(LINGER, async {
                stream.write_all(&answer).await?;
                stream.shutdown().await?;
                // Read what was sent, so that closing does not reset before the answer is read.
                let mut sink = [0; 1_024];
                while stream.read(&mut sink).await? > 0 {}
                io::Result::Ok(())
            })
            .await;
        });
    }
}

/// Answers and closes at once; the answer fits what the kernel holds for a new connection.
pub fn turn_away_now(stream: &TcpStream, answer: &[u8]) {
    let socket = SockRef::from(stream);
    let mut sink = [std::mem::MaybeUninit::uninit(); 4_096];
    // What has come is read, as closing would reset the connection otherwise. If any of this fails, the
    // client has gone or learns nothing, and nothing more can be done for it.
    let _ = socket.recv(&mut sink);
    let _ = socket.send(answer);
    let _ = socket.shutdown(Shutdown::Write);
}

/// Connections that are turned away and given a moment, at a time.
pub const LINGERING_MAX: usize = 256;
/// That moment.
const LINGER: Duration = Duration::from_secs(1);
