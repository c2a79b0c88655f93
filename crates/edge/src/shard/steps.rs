//! Counts, for tests, the entries that look-ups and clean-ups visit. A test checks with this count, which
//! is the same on every machine, and not with a clock, that the work is linear. Outside of tests it costs
//! nothing.

/// So many entries were visited.
#[inline]
pub(crate) fn visit(entries: usize) {
    #[cfg(test)]
    VISITED.with(|visited| visited.set(visited.get() + entries));
    #[cfg(not(test))]
    let _ = entries;
}

#[cfg(test)]
thread_local! {
    static VISITED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// How many entries `work` visits.
#[cfg(test)]
pub(crate) fn count(work: impl FnOnce()) -> usize {
    let before = VISITED.with(std::cell::Cell::get);
    work();
    VISITED.with(std::cell::Cell::get) - before
}
