//! One system call for a write to many sockets: the only unsafe code of the project.
//!
//! A shard that has the same bytes for a thousand sockets would make a thousand system calls, and each
//! would enter the kernel separately. [`batch_send`] gives them to io_uring in batches.
//!
//! Many containers forbid io_uring (seccomp), and some systems do not have it. Making a [`BatchSend`] then
//! fails, and the caller writes to its sockets one by one.

pub mod batch_send;

pub use batch_send::BatchSend;
