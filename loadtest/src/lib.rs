//! The bundled load harness: scenarios against a gateway, the kernel's ceiling, and comparisons.
//!
//! One loop per thread reads all clients and, in the first thread, publishes; nothing else runs on the
//! harness's cores, and it says in every result whether it was itself the bottleneck.
//!
//! * [`scenario`]: what a run does. [`run`]: doing it. [`result`]: what comes out.
//! * [`fleet`]: the loop; [`subscriber`]: one client in it; [`view`]: what that knows of a topic;
//!   [`publisher`] and [`pace`]: what is published, and when; [`tally`]: what was counted;
//!   [`integrity`]: what of it was wrong.
//! * [`socket`], [`ws`], [`frame`], [`topics`]: system calls, framing, reading of data frames.
//! * [`server`]: the gateway it starts; [`process`]: what that costs; [`metrics`] over [`http`]: what
//!   it counts itself; [`machine`]: where.
//! * [`limit`]: the ceiling, one thread and nothing in the way.
//! * [`compare`]: results side by side. [`report`]: results as a page. [`summary`]: in a few lines.
//!
//! Linux only: it reads `/proc` and speaks to `epoll`.

pub mod compare;
pub mod fleet;
pub mod frame;
pub mod http;
pub mod integrity;
pub mod limit;
pub mod machine;
pub mod metrics;
pub mod pace;
pub mod process;
pub mod publisher;
pub mod report;
pub mod result;
pub mod run;
pub mod scenario;
pub mod server;
pub mod socket;
pub mod subscriber;
pub mod summary;
pub mod tally;
pub mod topics;
pub mod view;
pub mod ws;
