//! Accepting and refusing connections. All listeners use it: for clients, for probes, for publishers.
//!
//! * [`acceptor`]: accepts connections, also when this process has no file descriptors left.
//! * [`turnstile`]: answers a connection that is refused, and closes it.

pub mod acceptor;
pub mod turnstile;

pub use acceptor::{Acceptor, Came, listen};
pub use turnstile::{LINGERING_MAX, Turnstile, turn_away_now};
