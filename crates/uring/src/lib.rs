//! One system call for a write to many sockets: the only unsafe code of the project.
//!
//! A shard that has the same bytes for a thousand sockets makes a thousand system calls, and entering
//! the kernel is a part of each that buys nothing. [`volley`] hands them to io_uring in lots.
//!
//! io_uring is forbidden in many containers (seccomp) and absent elsewhere: making a [`Volley`] then
//! fails, and whoever wanted one writes to its sockets one by one.

pub mod volley;

pub use volley::Volley;
