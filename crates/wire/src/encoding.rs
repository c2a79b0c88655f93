//! The protocol's name, and its encodings.

use crate::frame::Opcode;

/// The protocol's name and version, as in the `welcome` message.
pub const PROTOCOL: &str = "tapecast.v1";

/// The WebSocket subprotocol of the text encoding, and the default.
pub const SUBPROTOCOL_JSON: &str = "tapecast.v1.json";

/// The WebSocket subprotocol of the binary encoding.
pub const SUBPROTOCOL_BIN: &str = "tapecast.v1.bin";

/// How data frames are encoded for a connection. Control messages are JSON text in all of them.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Encoding {
    /// JSON text frames.
    #[default]
    Json,
    /// Binary frames of fixed layout.
    Bin,
}

impl Encoding {
    /// All encodings, in order of [`Encoding::index`].
    pub const ALL: [Self; 2] = [Self::Json, Self::Bin];

    /// A dense index, below [`Encoding::ALL`]'s length.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name in metric labels.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Bin => "binary",
        }
    }

    /// The name in the WebSocket handshake.
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => SUBPROTOCOL_JSON,
            Self::Bin => SUBPROTOCOL_BIN,
        }
    }

    /// The kind of WebSocket frame that data come in.
    pub const fn opcode(self) -> Opcode {
        match self {
            Self::Json => Opcode::Text,
            Self::Bin => Opcode::Binary,
        }
    }
}
