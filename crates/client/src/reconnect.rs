//! A client that reconnects automatically and subscribes again.
//!
//! [`Reconnecting`] remembers the subscriptions, holds at most one [`Client`], and returns every loss of
//! the connection as an [`Event`]. After [`Event::Connected`] every topic begins with a snapshot. So the
//! caller may keep its state and let the rule of [`crate::stream`] decide.
//!
//! # When the server is away
//! Attempts are separated by an exponential backoff with full jitter, so that the clients of a restarting
//! server do not return at the same moment; a `drain` notice sets the first pause instead. The number of
//! attempts is not limited. Close codes 4001 and 4003 and an HTTP 401 or 403 are final: [`FinalClose`].

use crate::connect::{Client, ClientError, Close, ConnectError, ConnectOptions};
use crate::message::{Drain, Message, MessageError, MessageKind};
use rand::Rng as _;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// How long to wait between attempts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Backoff {
    /// The most to wait before the first attempt. Default 500 ms.
    pub first: Duration,
    /// The most to wait ever; each attempt doubles up to it. Default 15 s.
    pub max: Duration,
}

/// What happens to a client that comes back.
#[derive(Debug)]
pub enum Event {
    /// There is a connection, and all subscriptions were requested.
    Connected,
    /// There is none; the next attempt is after the pause.
    Disconnected {
        /// Why.
        reason: Disconnect,
        /// The pause.
        retry_in: Duration,
    },
    /// A message.
    Message(Message),
    /// One message could not be read. The connection continues. If the message was a frame, the rule for
    /// clients finds the loss with the topic's next frame.
    Unreadable(MessageError),
}

/// Why there is no connection at the moment.
#[derive(Debug, thiserror::Error)]
pub enum Disconnect {
    /// It ended.
    #[error(transparent)]
    Lost(#[from] ClientError),
    /// It could not be made.
    #[error(transparent)]
    Unreachable(#[from] ConnectError),
}

/// The server does not want this client: coming back would not help.
#[derive(Debug, thiserror::Error)]
pub enum FinalClose {
    /// Close code 4001 or 4003.
    #[error("the server refused permanently: {0}")]
    Closed(Close),
    /// HTTP status 401 or 403.
    #[error("the server refused permanently")]
    Refused(#[source] ConnectError),
    /// The address cannot work.
    #[error(transparent)]
    Address(ConnectError),
}

/// A client that reconnects automatically.
#[derive(Debug)]
pub struct Reconnecting {
    url: String,
    options: ConnectOptions,
    backoff: Backoff,
    wanted: BTreeSet<String>,
    client: Option<Client>,
    attempts: u32,
    retry_at: Option<Instant>,
    drain: Option<Drain>,
}

// === impl Backoff ===

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            max: Duration::from_secs(15),
        }
    }
}

impl Backoff {
    /// The most to wait before attempt `attempt`, counted from 0.
    pub fn ceiling(&self, attempt: u32) -> Duration {
        let factor = 1_u32.checked_shl(attempt).unwrap_or(u32::MAX);
        self.first
            .checked_mul(factor)
            .map_or(self.max, |wait| wait.min(self.max))
    }
}

// === impl Reconnecting ===

impl Reconnecting {
    /// A client that connects with the first call of [`Reconnecting::next`].
    pub fn new(url: &str, options: ConnectOptions, backoff: Backoff) -> Self {
        Self {
            url: url.to_owned(),
            options,
            backoff,
            wanted: BTreeSet::new(),
            client: None,
            attempts: 0,
            retry_at: None,
            drain: None,
        }
    }

    /// Wants topics from now on, on this connection and all later ones.
    pub async fn subscribe(&mut self, topics: &[impl AsRef<str>]) {
        self.wanted
            .extend(topics.iter().map(|t| t.as_ref().to_owned()));
        if let Some(client) = &mut self.client {
            let topics: Vec<&str> = topics.iter().map(AsRef::as_ref).collect();
            // A connection that fails here fails again in `next`, which says so.
            let _ = ask_in_pieces(client, &topics).await;
        }
    }

    /// Wants topics no longer.
    pub async fn unsubscribe(&mut self, topics: &[impl AsRef<str>]) {
        for topic in topics {
            self.wanted.remove(topic.as_ref());
        }
        if let Some(client) = &mut self.client {
            let _ = client.unsubscribe(topics).await;
        }
    }

    /// Asks for fresh snapshots, if there is a connection; a new one brings them anyway.
    pub async fn resync(&mut self, topics: &[impl AsRef<str>]) {
        if let Some(client) = &mut self.client {
            let _ = client.resync(topics).await;
        }
    }

    /// The connection, if there is one.
    pub fn client(&mut self) -> Option<&mut Client> {
        self.client.as_mut()
    }

    /// What happens next: a message, or the loss or return of the connection.
    ///
    /// # Errors
    /// If the server does not want this client; another call would try again all the same.
    ///
    /// # Cancellation
    /// Safe: at worst an attempt to connect starts again.
    pub async fn next(&mut self) -> Result<Event, FinalClose> {
        let Some(client) = &mut self.client else {
            return self.connect().await;
        };
        let error = match client.next().await {
            Ok(message) => {
                // Only now: a server that lets everybody in and closes at once is not healthy.
                self.attempts = 0;
                if let MessageKind::Drain(drain) = message.kind() {
                    self.drain = Some(*drain);
                }
                return Ok(Event::Message(message));
            }
            Err(ClientError::Message(error)) => return Ok(Event::Unreadable(error)),
            Err(error) => error,
        };
        self.client = None;
        if let ClientError::Closed(close) = &error
            && close.is_final()
        {
            return Err(FinalClose::Closed(close.clone()));
        }
        Ok(self.pause(error.into()))
    }

    async fn connect(&mut self) -> Result<Event, FinalClose> {
        if let Some(at) = self.retry_at {
            tokio::time::sleep_until(at).await;
        }
        let attempt = Client::connect(&self.url, self.options.clone()).await;
        let mut client = match attempt {
            Ok(client) => client,
            Err(error @ ConnectError::Url { .. }) => return Err(FinalClose::Address(error)),
            Err(error) if is_final(&error) => return Err(FinalClose::Refused(error)),
            Err(error) => return Ok(self.pause(error.into())),
        };
        let topics: Vec<&str> = self.wanted.iter().map(String::as_str).collect();
        if let Err(error) = ask_in_pieces(&mut client, &topics).await {
            return Ok(self.pause(error.into()));
        }
        self.client = Some(client);
        self.retry_at = None;
        Ok(Event::Connected)
    }

    fn pause(&mut self, reason: Disconnect) -> Event {
        let (least, most) = match self.drain.take() {
            Some(d) => (
                Duration::from_millis(d.retry_min_ms),
                Duration::from_millis(d.retry_max_ms),
            ),
            None => (Duration::ZERO, self.backoff.ceiling(self.attempts)),
        };
        self.attempts = self.attempts.saturating_add(1);
        let retry_in = rand::rng().random_range(least..=most.max(least));
        self.retry_at = Some(Instant::now() + retry_in);
        Event::Disconnected { reason, retry_in }
    }
}

fn is_final(error: &ConnectError) -> bool {
    match error {
        ConnectError::Refused { status, .. } => matches!(status.as_u16(), 401 | 403),
        ConnectError::Ended(ClientError::Closed(close)) => close.is_final(),
        _ => false,
    }
}

/// Subscribes in as many requests as the server's limit on their size demands.
async fn ask_in_pieces(client: &mut Client, topics: &[&str]) -> Result<(), ClientError> {
    // What stands around the topics, and the quotes and comma of each.
    const AROUND: usize = 64;
    const EACH: usize = 3;
    let limit = match client.welcome().limits.request_bytes {
        0 => 16 << 10,
        limit => limit,
    };
    let mut rest = topics;
    while !rest.is_empty() {
        let mut bytes = AROUND;
        let fitting = rest.iter().take_while(|t| {
            bytes += t.len() + EACH;
            bytes <= limit
        });
        // One that does not fit at all is sent alone and refused by name.
        let (piece, later) = rest.split_at(fitting.count().max(1));
        client.subscribe(piece).await?;
        rest = later;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_limit() {
        let backoff = Backoff {
            first: Duration::from_millis(500),
            max: Duration::from_secs(15),
        };
        let millis: Vec<u128> = (0..7).map(|n| backoff.ceiling(n).as_millis()).collect();
        assert_eq!(millis, [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
        assert_eq!(backoff.ceiling(u32::MAX), Duration::from_secs(15));
    }
}
