//! The Rust SDK for `tapecast.v1`: connect, subscribe, follow sequences, keep books.
//!
//! * [`connect`]: one connection, from the handshake to its close: [`Client`].
//! * [`binary`]: binary frames to the same messages that JSON frames are.
//! * [`message`]: what the server says, typed; decimals stay text, unknown fields are ignored.
//! * [`stream`]: the protocol's rule for clients, complete: [`Tracker`] says of each frame whether
//!   it applies, is old, or shows that something was lost.
//! * [`book`]: a topic's price levels, checked against the checksum of every frame: [`ClientBook`].
//! * [`reconnect`]: a client that comes back by itself with jitter and subscribes anew.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tapecast_client::{Client, ConnectOptions, Outcome, Tracker};
//!
//! let mut client = Client::connect("ws://127.0.0.1:8080/v1/ws", ConnectOptions::default()).await?;
//! client.subscribe(&["trade:binance:BTC-USDT"]).await?;
//! let mut tracker = Tracker::new();
//! loop {
//!     let message = client.next().await?;
//!     if tracker.handle(&message) == Outcome::Apply {
//!         println!("{}", message.text());
//!     }
//!     let lost = tracker.take_lost();
//!     if !lost.is_empty() {
//!         client.resync(&lost).await?;
//!     }
//! }
//! # }
//! ```
//!
//! Only `ws://` for now. Data come as JSON, or in binary with [`ConnectOptions::encoding`].

pub mod binary;
pub mod book;
pub mod connect;
pub mod message;
pub mod reconnect;
pub mod stream;

pub use binary::BinaryReader;
pub use book::{BookError, ClientBook};
pub use connect::{Client, ClientError, Close, ConnectError, ConnectOptions};
pub use message::{Body, DataFrame, FrameType, Message, MessageError, MessageKind};
pub use reconnect::{Backoff, Event, FinalClose, Reconnecting};
pub use stream::{Outcome, TopicState, Tracker};
pub use tapecast_wire::Encoding;
