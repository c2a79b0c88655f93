//! The process `tapecast`: the only place that knows all the others.
//!
//! [`config`] says what is wanted, [`gateway`] starts and ends it, [`threads`] is the pipeline's
//! thread, [`sources`] are the feeds, [`parts`] is what watches over all of them, [`admin`] and [`pages`] are what is served beside the data,
//! [`cores`] says where threads run, [`log`] writes lines for which nobody waits, [`state_dir`] keeps what must outlive the process, [`cli`] is the command line with [`watch`], a client in the
//! terminal.

pub mod admin;
pub mod cli;
pub mod config;
pub mod cores;
pub mod faults;
pub mod gateway;
pub mod log;
pub mod metrics;
pub mod pages;
pub mod parts;
pub mod sources;
pub mod state_dir;
pub mod threads;
pub mod watch;
