//! Goal: bytes that leave the process are what they are said to be. Changing one of these bytes is a
//! change of the protocol, or of the version of records.
//!
//! Method: each file under `tests/golden` is one message in hexadecimal. The writer must make exactly
//! these bytes, and the reader must find in them what went in.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod frames;
mod hex;
mod records;
