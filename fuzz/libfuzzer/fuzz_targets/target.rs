//! One target of `tapecast_fuzz`, named by `TAPECAST_FUZZ_TARGET`, guided by coverage.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use tapecast_fuzz::targets::{Target, named};

thread_local! {
    static TARGET: RefCell<Box<dyn Target>> = RefCell::new({
        let name = std::env::var("TAPECAST_FUZZ_TARGET").expect("TAPECAST_FUZZ_TARGET names a target");
        named(&name).expect("a target of this name")
    });
}

fuzz_target!(|input: &[u8]| {
    TARGET.with_borrow_mut(|target| {
        if let Err(broken) = target.run(input) {
            panic!("{}", broken.0);
        }
    });
});
