//! Panics are counted, in whatever thread. A process of its own: the hook is the whole process's.

use tapecast::log;

#[test]
fn a_panic_of_any_thread_is_counted_and_exported() {
    let _log = log::start("error").unwrap();
    for panics in 1..=30 {
        let thread = std::thread::spawn(|| panic!("as the test wants it"));
        assert!(thread.join().is_err());
        // Also those that are worth no line of the log any more.
        assert_eq!(log::PANICS.get(), panics);
    }
}
