//! The process `tapecast`: the only crate that knows all the others.
//!
//! * [`config`] reads the configuration; [`cli`] is the command line, with [`watch`], a client in the
//!   terminal, and [`verify`], which checks recordings; [`terminal`] is what all say there.
//! * [`exchange`] is the table of venues that can be connected to; [`venues`] lists them.
//! * [`gateway`] starts and stops all rooms, each of which builds itself; [`start_error`] is why one cannot;
//!   [`parts`] watches what must always run.
//! * [`settings`] are what of the configuration is in force; SIGHUP changes it.
//! * [`sources`] are the feeds; [`threads`] is the pipeline's thread; [`shards`] are the threads of clients;
//!   [`cores`] pins threads; [`files`] counts file descriptors.
//! * [`listeners`] accept connections; [`admin`] and [`pages`] answer HTTP requests other than the WebSocket.
//! * [`log`] writes log lines, and no thread waits for it; [`state_dir`] keeps data that must survive a
//!   restart.

pub mod admin;
pub mod cli;
pub mod config;
pub mod cores;
pub mod exchange;
pub mod faults;
pub mod files;
pub mod gateway;
pub mod listeners;
pub mod log;
pub mod metrics;
pub mod pages;
pub mod parts;
pub mod record;
mod settings;
pub mod shards;
pub mod simulate;
pub mod sources;
pub mod start_error;
pub mod state_dir;
mod terminal;
pub mod threads;
pub mod venues;
pub mod verify;
pub mod watch;
