//! The client protocol `tapecast.v1`: bytes to and from the model, without I/O.
//!
//! * [`frame`]: WebSocket framing of what the server sends.
//! * [`json`]: data frames in the text encoding. Nothing in them differs between clients.
//! * [`request`]: what clients ask, parsed with an error that says where.
//! * [`reply`]: what the server answers, and what it says unasked.
//! * [`code`]: error names and close codes, one table.
//!
//! This crate knows nothing of sockets, of who is subscribed, or of where updates come from.

pub mod code;
pub mod frame;
pub mod json;
pub mod reply;
pub mod request;

pub use code::{CloseReason, ErrorCode};
pub use frame::Opcode;
pub use json::Head;
pub use request::{Request, RequestError, RequestId, TopicRequest};

/// The protocol's name and version, as in the `welcome` message.
pub const PROTOCOL: &str = "tapecast.v1";

/// The WebSocket subprotocol of the text encoding, and the default.
pub const SUBPROTOCOL_JSON: &str = "tapecast.v1.json";

/// How data frames are encoded for a connection.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Encoding {
    /// JSON text frames.
    #[default]
    Json,
}

impl Encoding {
    /// All encodings, in order of [`Encoding::index`].
    pub const ALL: [Self; 1] = [Self::Json];

    /// A dense index, below [`Encoding::ALL`]'s length.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name in metric labels.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Json => "json",
        }
    }
}
