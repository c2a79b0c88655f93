//! The protocol's name, and the encodings it comes in.

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
