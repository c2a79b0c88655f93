//! The client protocol `tapecast.v1`: bytes to and from the model, without I/O.
//!
//! * [`encoding`]: the names of the protocol and its encodings.
//! * [`frame`]: WebSocket framing of what the server sends.
//! * [`json`]: data frames in the text encoding. They contain nothing that differs between clients.
//! * [`binary`]: the same frames in the binary encoding, written and read.
//! * [`encode`]: data frames in any encoding.
//! * [`definition`]: what frames and records say of an instrument.
//! * [`request`]: requests of clients; a parse error names the place.
//! * [`reply`]: answers and other control messages of the server.
//! * [`record`]: one sequenced event with all that belongs to it, for other gateways and for later.
//! * [`code`]: error names and close codes, one table.
//!
//! This crate knows nothing of sockets, of subscriptions, or of the origin of updates.

pub mod binary;
pub mod code;
pub mod definition;
pub mod encode;
pub mod encoding;
pub mod frame;
pub mod json;
pub mod record;
pub mod reply;
pub mod request;

pub use code::{CloseReason, ErrorCode};
pub use definition::Definition;
pub use encoding::{Encoding, PROTOCOL, SUBPROTOCOL_BIN, SUBPROTOCOL_JSON};
pub use frame::Opcode;
pub use json::Head;
pub use request::{Request, RequestError, RequestId, TopicRequest};
