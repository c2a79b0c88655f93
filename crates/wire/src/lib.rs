//! The client protocol `tapecast.v1`: bytes to and from the model, without I/O.
//!
//! * [`encoding`]: the names of the protocol and its encodings.
//! * [`frame`]: WebSocket framing of what the server sends.
//! * [`json`]: data frames in the text encoding. Nothing in them differs between clients.
//! * [`binary`]: the same frames in the binary encoding, written and read.
//! * [`encode`]: data frames in whichever encoding is wanted.
//! * [`request`]: what clients ask, parsed with an error that says where.
//! * [`reply`]: what the server answers, and what it says unasked.
//! * [`code`]: error names and close codes, one table.
//!
//! This crate knows nothing of sockets, of who is subscribed, or of where updates come from.

pub mod binary;
pub mod code;
pub mod encode;
pub mod encoding;
pub mod frame;
pub mod json;
pub mod reply;
pub mod request;

pub use code::{CloseReason, ErrorCode};
pub use encoding::{Encoding, PROTOCOL, SUBPROTOCOL_BIN, SUBPROTOCOL_JSON};
pub use frame::Opcode;
pub use json::Head;
pub use request::{Request, RequestError, RequestId, TopicRequest};
