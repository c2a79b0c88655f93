//! The process `tapecast`: the only crate that knows all the others.
//!
//! * [`config`] reads the configuration; [`cli`] is the command line, with [`watch`], a client in the
//!   terminal; [`terminal`] is what both say there.
//! * [`gateway`] starts and stops all parts; [`parts`] watches them.
//! * [`settings`] are what of the configuration is in force; SIGHUP changes it.
//! * [`threads`] is the pipeline's thread; [`sources`] are the feeds; [`cores`] pins threads; [`files`]
//!   counts file descriptors.
//! * [`admin`] and [`pages`] answer HTTP requests other than the WebSocket.
//! * [`log`] writes log lines, and no thread waits for it; [`state_dir`] keeps data that must survive a
//!   restart.

pub mod admin;
pub mod cli;
pub mod config;
pub mod cores;
pub mod faults;
pub mod files;
pub mod gateway;
pub mod log;
pub mod metrics;
pub mod pages;
pub mod parts;
pub mod settings;
pub mod sources;
pub mod state_dir;
mod terminal;
pub mod threads;
pub mod watch;
