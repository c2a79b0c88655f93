//! The recorder: files that end and begin, a tap that is full, a crash, a disk that fails, secrets.

use super::*;
use crate::capture::Capture;
use std::fs;
use std::path::{Path, PathBuf};
use tapecast_model::{Mono, UnixNanos};

fn counter() -> IntCounter {
    IntCounter::new("dropped", "dropped").unwrap()
}

fn at(n: u64) -> UnixNanos {
    UnixNanos::new(1_700_000_000_000_000_000 + n)
}

fn message(n: u64) -> Row {
    let raw = format!("{{\"n\":{n},\"text\":\"a\\\"\\\\ \u{1f4b0}\\n\"}}").into_bytes();
    Row::Message {
        at: at(n),
        line: 1,
        raw,
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.collect();
    files.sort();
    files
}

/// Times of the messages of a file, and whether it ends as it should.
fn read(path: &Path) -> (Vec<u64>, bool) {
    let (mut times, mut whole) = (Vec::new(), true);
    let mut capture = Capture::open(path).unwrap();
    while let Some(row) = capture.next_row() {
        whole &= row.message.is_ok();
        if row.message.is_ok() {
            times.push(row.ts.unwrap().get() - at(0).get());
        }
    }
    (times, whole)
}

/// All text of a file.
fn text(path: &Path) -> String {
    String::from_utf8(zstd::decode_all(fs::File::open(path).unwrap()).unwrap()).unwrap()
}

fn open() -> Row {
    Row::Open {
        at: at(0),
        line: 1,
        url: "wss://user:hidden@host/stream?a=b&apiKey=hidden".into(),
    }
}

fn sent(text: &str) -> Row {
    Row::Sent {
        at: at(0),
        line: 1,
        text: text.into(),
    }
}

#[test]
fn files_end_by_size_and_time_sort_by_time_and_begin_with_what_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = RecorderConfig::new(folder.path(), "x");
    config.file_bytes_max = 500;
    let mut writer = Writer::new(config).unwrap();
    let mut now = Mono::default();
    writer.write(open(), now);
    writer.write(sent("{\"method\":\"SUBSCRIBE\"}"), now);
    for n in 1..=20 {
        assert_eq!(writer.write(message(n), now), 0);
        writer.handle_time(now);
    }
    let by_size = files(folder.path()).len();
    assert!(by_size > 2, "{by_size}");
    writer.write(message(21), now);
    now = now.after(Duration::from_secs(3_600));
    writer.handle_time(now);
    writer.write(message(22), now);
    writer.finish();
    let all = files(folder.path());
    assert!(all.len() > by_size);
    let mut times = Vec::new();
    for file in &all {
        let (some, whole) = read(file);
        assert!(whole);
        times.extend(some);
        let text = text(file);
        let mut lines = text.lines();
        assert!(lines.next().unwrap().contains("\"row\":\"open\""), "{text}");
        assert!(lines.next().unwrap().contains("SUBSCRIBE"), "{text}");
    }
    assert_eq!(times, (1..=22).collect::<Vec<_>>());
}

#[test]
fn a_message_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(RecorderConfig::new(folder.path(), "x")).unwrap();
    writer.write(message(1), Mono::default());
    let answer = |status| Row::Answer {
        at: at(2),
        url: "https://host/depth?symbol=A&signature=hidden".into(),
        symbol: Some("A".into()),
        status,
        raw: b"{\"bids\":[]}\n\x01".to_vec(),
    };
    writer.write(answer(200), Mono::default());
    writer.write(answer(429), Mono::default());
    writer.finish();
    let mut capture = Capture::open(&files(folder.path())[0]).unwrap();
    let first = capture.next_row().unwrap().message.unwrap().raw.to_vec();
    let Row::Message { raw, .. } = message(1) else {
        panic!();
    };
    assert_eq!(first, raw);
    let second = capture.next_row().unwrap().message.unwrap();
    assert_eq!(second.raw, b"{\"bids\":[]}\n\x01");
    assert_eq!(second.symbol, Some("A"));
    assert_eq!(
        second.http,
        Some("https://host/depth?symbol=A&signature=***")
    );
    assert!(
        capture.next_row().is_none(),
        "what is refused is no message"
    );
}

#[test]
fn a_file_that_is_cut_anywhere_has_all_rows_that_were_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(RecorderConfig::new(folder.path(), "x")).unwrap();
    let mut now = Mono::default();
    let mut flushed = Vec::new();
    for n in 1..=40 {
        writer.write(message(n), now);
        now = now.after(FLUSH_EVERY);
        writer.handle_time(now);
        let size = fs::metadata(&files(folder.path())[0]).unwrap().len();
        flushed.push((size, n));
    }
    let file = files(folder.path()).remove(0);
    // As after kill -9: the end is missing.
    let bytes = fs::read(&file).unwrap();
    drop(writer);
    for length in 4..=bytes.len() {
        let cut = folder.path().join("cut.zst");
        fs::write(&cut, &bytes[..length]).unwrap();
        let (times, whole) = read(&cut);
        assert!(!whole, "it is said that the end is missing, at {length}");
        let complete = flushed.iter().filter(|(size, _)| *size <= length as u64);
        let least = complete.map(|(_, n)| *n).max().unwrap_or(0);
        assert!(times.len() as u64 >= least, "{length}: {times:?}");
        assert_eq!(times, (1..=times.len() as u64).collect::<Vec<_>>());
    }
}

#[test]
fn no_secret_is_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(RecorderConfig::new(folder.path(), "x")).unwrap();
    writer.write(open(), Mono::default());
    writer.write(
        sent("{\"op\":\"login\",\"args\":[{\"apiKey\":\"hidden\"}]}"),
        Mono::default(),
    );
    writer.finish();
    let text = text(&files(folder.path())[0]);
    assert!(
        !text.contains("hidden") && text.contains("wss://host/stream?a=b"),
        "{text}"
    );
}

#[test]
fn what_does_not_fit_is_counted_and_said_where_it_is_missing() {
    let dropped = counter();
    let (tap, rows) = tap(
        Room {
            rows: 2,
            bytes: 10_000,
        },
        &dropped,
    );
    for n in 1..=5 {
        tap.put(message(n));
    }
    assert_eq!(dropped.get(), 3);
    let taken: Vec<_> = rows.try_iter().collect();
    assert_eq!(taken, [message(1), message(2)]);
    tap.put(message(6));
    let taken: Vec<_> = rows.try_iter().collect();
    let (at, rows) = (at(6), 3);
    assert_eq!(taken, [Row::Dropped { at, rows }, message(6)]);
}

#[test]
fn rows_are_dropped_when_their_bytes_do_not_fit() {
    let dropped = counter();
    let bytes = message(1).bytes() + 1;
    let (tap, rows) = tap(Room { rows: 10, bytes }, &dropped);
    tap.put(message(1));
    tap.put(message(2));
    assert_eq!((dropped.get(), rows.len()), (1, 1));
}

#[test]
fn a_disk_that_fails_costs_rows_and_recording_goes_on_when_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("rows");
    let mut writer = Writer::new(RecorderConfig::new(&dir, "x")).unwrap();
    let now = Mono::default();
    fs::remove_dir(&dir).unwrap();
    assert_eq!(writer.write(message(1), now), 1);
    fs::create_dir(&dir).unwrap();
    assert_eq!(writer.write(message(2), now), 1, "not at once");
    assert_eq!(
        writer.write(message(3), now.after(Duration::from_secs(1))),
        0
    );
    writer.finish();
    let file = &files(&dir)[0];
    assert_eq!(read(file), (vec![3], true));
    assert!(text(file).contains("\"row\":\"dropped\",\"ts\":1700000000000000003,\"rows\":2"));
    assert!(Writer::new(RecorderConfig::new(Path::new("/proc/no"), "x")).is_err());
}

#[test]
fn the_thread_writes_all_that_was_given_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = RecorderConfig::new(folder.path(), "x");
    let dropped = counter();
    let (tap, recorder) = start(config, Room::default(), &dropped).unwrap();
    (1..=1_000).for_each(|n| tap.put(message(n)));
    drop(tap);
    drop(recorder);
    assert_eq!(dropped.get(), 0);
    let (times, whole) = read(&files(folder.path())[0]);
    assert!(whole && times == (1..=1_000).collect::<Vec<_>>());
}
