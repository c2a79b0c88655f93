//! The process `tapecast`: the only place that knows all the others.
//!
//! [`config`] says what is wanted, [`gateway`] starts and ends it, [`threads`] is the pipeline's
//! thread, [`sources`] are the feeds, [`admin`] and [`pages`] are what is served beside the data,
//! [`cores`] says where threads run, [`cli`] is the command line with [`watch`], a client in the
//! terminal.

pub mod admin;
pub mod cli;
pub mod config;
pub mod cores;
pub mod gateway;
pub mod metrics;
pub mod pages;
pub mod sources;
pub mod threads;
pub mod watch;
