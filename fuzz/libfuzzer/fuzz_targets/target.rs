//! One target of `tapecast_fuzz`, named by `TAPECAST_FUZZ_TARGET`, guided by coverage.
//!
//! Half of the inputs are made by the target's own mutator, half by libFuzzer's.

#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
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

fuzz_mutator!(
    |data: &mut [u8], size: usize, max_size: usize, seed: u32| {
        if seed % 2 == 0 {
            return fuzzer_mutate(data, size, max_size);
        }
        let mut random = SmallRng::seed_from_u64(seed.into());
        let seeds = [data[..size].to_vec()];
        let input = TARGET.with_borrow(|target| target.input(&seeds, &mut random));
        let size = input.len().min(max_size);
        data[..size].copy_from_slice(&input[..size]);
        size
    }
);
