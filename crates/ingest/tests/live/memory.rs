//! How much memory a session and a pipeline hold: the simulated venue, the witness and the rig are not counted.
//!
//! Allocations are counted per thread, so that tests beside this one do not matter.

/// What this allocates and does not free is added to `bytes`.
pub(crate) fn measured<T>(bytes: &mut i64, of: impl FnOnce() -> T) -> T {
    let mut result = None;
    let info = allocation_counter::measure(|| result = Some(of()));
    *bytes += info.bytes_current;
    result.unwrap()
}

/// What this allocates or frees is not counted, although the calling code is.
pub(crate) fn uncounted<T>(of: impl FnOnce() -> T) -> T {
    let mut result = None;
    allocation_counter::opt_out(|| result = Some(of()));
    result.unwrap()
}

#[test]
fn only_what_is_kept_and_not_left_out_is_counted() {
    let mut bytes = 0;
    let kept = measured(&mut bytes, || {
        drop(vec![0_u8; 500]);
        let copy = uncounted(|| vec![1_u8; 70]);
        (vec![2_u8; 1_000], copy)
    });
    assert_eq!(bytes, 1_000);
    let (kept, copy) = kept;
    measured(&mut bytes, || drop(kept));
    assert_eq!(bytes, 0);
    assert_eq!(copy.len(), 70);
}
