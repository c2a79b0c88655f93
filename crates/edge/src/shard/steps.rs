//! Entries that look-ups and clean-ups visit, counted for tests: that something is linear is held by
//! a count, which is the same on every machine, and not by a clock. Costs nothing outside of tests.

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
