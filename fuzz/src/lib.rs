//! Fuzzing of every parser of foreign bytes: what venues, publishers, clients, browsers, operators and
//! other gateways send us.
//!
//! * [`targets`]: one target for each parser, with what must hold for every input.
//! * [`seeds`]: where inputs begin: a corpus in this directory, and recordings where there are any.
//! * [`mutate`]: makes new inputs from seeds; knows JSON, so that most inputs pass the head.
//! * [`json`]: a small reader of JSON that keeps spelling, order and doubled keys.
//! * [`run`]: runs a target over many inputs and reports what it found.
//!
//! The runner needs nothing but a stable toolchain. Where there is a nightly one, the same targets run
//! guided by coverage: `fuzz/libfuzzer`.

pub mod json;
pub mod mutate;
pub mod run;
pub mod seeds;
pub mod targets;
