//! The recorder: files that end and begin, a tap that is full, a crash, a disk that fails, secrets.

use super::*;
use crate::aside::Defined;
use crate::capture::{Capture, Item};
use std::fs;
use std::io::Write;
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
        used: true,
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
    let url = "wss://user:hidden@host/stream?a=b&apiKey=hidden".into();
    let (line, again) = (1, false);
    Row::aside(at(0), What::Open { line, url, again })
}

fn sent(text: &str) -> Row {
    let (line, text) = (1, text.into());
    Row::aside(at(0), What::Sent { line, text })
}

fn defined() -> Row {
    let defined = Defined {
        native: "BTCUSDT".into(),
        symbol: "BTC-USDT".into(),
        price_scale: 2,
        qty_scale: 5,
        streams: Vec::new(),
    };
    Row::aside(at(0), What::Instrument(defined))
}

#[test]
fn files_end_by_size_and_time_sort_by_time_and_begin_with_what_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = RecorderConfig::new(folder.path(), "x", "binance");
    config.file_bytes_max = 500;
    let mut writer = Writer::new(config);
    let mut now = Mono::default();
    writer.write(defined(), now);
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
    for (number, file) in all.iter().enumerate() {
        let (some, whole) = read(file);
        assert!(whole);
        times.extend(some);
        let text = text(file);
        let mut lines = text.lines();
        for part in ["begin", "BTC-USDT", "\"row\":\"open\"", "SUBSCRIBE"] {
            assert!(lines.next().unwrap().contains(part), "{part}: {text}");
        }
        assert_eq!(text.contains("\"again\":true"), number > 0, "{text}");
    }
    assert_eq!(times, (1..=22).collect::<Vec<_>>());
}

#[test]
fn a_message_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(RecorderConfig::new(folder.path(), "x", "binance"));
    writer.write(message(1), Mono::default());
    let url = "https://host/depth?symbol=A&signature=hidden".to_owned();
    let answer = Row::Answer {
        at: at(2),
        url: url.clone(),
        symbol: Some("A".into()),
        raw: b"{\"bids\":[]}\n\x01".to_vec(),
    };
    writer.write(answer, Mono::default());
    let status = 429;
    writer.write(
        Row::aside(at(2), What::Answer { status, url }),
        Mono::default(),
    );
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
    let mut writer = Writer::new(RecorderConfig::new(folder.path(), "x", "binance"));
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
    let mut writer = Writer::new(RecorderConfig::new(folder.path(), "x", "binance"));
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
    let gone = Row::aside(at(6), What::Dropped { rows: 3 });
    assert_eq!(taken, [gone, message(6)]);
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
    RecorderConfig::new(&dir, "x", "binance").check().unwrap();
    let mut writer = Writer::new(RecorderConfig::new(&dir, "x", "binance"));
    let now = Mono::default();
    fs::remove_dir(&dir).unwrap();
    fs::write(&dir, "in the way").unwrap();
    assert_eq!(writer.write(message(1), now), 1);
    fs::remove_file(&dir).unwrap();
    assert_eq!(writer.write(message(2), now), 1, "not at once");
    assert_eq!(
        writer.write(message(3), now.after(Duration::from_secs(1))),
        0
    );
    writer.finish();
    let file = &files(&dir)[0];
    assert_eq!(read(file), (vec![3], true));
    assert!(text(file).contains("\"row\":\"dropped\",\"rows\":2,\"ts\":1700000000000000003"));
    let nowhere = RecorderConfig::new(Path::new("/proc/no"), "x", "binance");
    assert!(nowhere.check().is_err());
}

/// A file on a disk with room for so many bytes.
struct Small {
    file: fs::File,
    left: usize,
}

impl Write for Small {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = bytes.len().min(self.left);
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.left -= room;
        self.file.write(&bytes[..room])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[test]
fn each_row_is_in_a_file_or_counted_when_the_disk_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let config = RecorderConfig::new(folder.path(), "x", "binance");
    let mut writer = Writer::with_open(config, |path| {
        let file = fs::File::create_new(path)?;
        let left = 900;
        Ok(Box::new(Small { file, left }))
    });
    let (mut now, mut lost, most) = (Mono::default(), 0, 2_000);
    for n in 1..=most {
        lost += writer.write(message(n), now);
        now = now.after(Duration::from_millis(100));
        lost += writer.handle_time(now);
    }
    lost += writer.finish();
    let all = files(folder.path());
    assert!(all.len() > 5, "{}", all.len());
    let (mut found, mut said) = (Vec::new(), 0);
    for file in &all {
        let mut capture = Capture::open(file).unwrap();
        while let Some(item) = capture.next_item() {
            match item {
                Item::Row(row) if row.message.is_ok() => found.push(row.ts.unwrap().get()),
                Item::Row(_) => {}
                Item::Aside(_, aside) => {
                    if let What::Dropped { rows } = aside.what {
                        said += rows;
                    }
                }
            }
        }
    }
    assert!(found.is_sorted() && !found.is_empty());
    // What the last file could not hold has no file behind it that could say so.
    let last = 60 * 10;
    assert!(lost - said <= last && said > 0, "{lost} lost, {said} said");
    assert!(
        found.len() as u64 + lost >= most,
        "{} found, {lost} lost",
        found.len()
    );
}

#[test]
fn a_file_that_somebody_takes_away_is_followed_by_another() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("rows");
    let mut writer = Writer::new(RecorderConfig::new(&dir, "x", "binance"));
    let mut now = Mono::default();
    let mut lost = writer.write(message(1), now);
    fs::remove_dir_all(&dir).unwrap();
    for n in 2..=40 {
        now = now.after(FLUSH_EVERY);
        lost += writer.handle_time(now) + writer.write(message(n), now);
    }
    writer.finish();
    let (times, whole) = read(&files(&dir)[0]);
    assert!(whole && times.last() == Some(&40), "{times:?}");
    assert_eq!(times.len() as u64 + lost, 40);
}

#[test]
fn an_outage_of_a_night_leaves_no_heap_of_files_and_all_losses_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let config = RecorderConfig::new(folder.path(), "x", "binance");
    let mut writer = Writer::with_open(config, |path| {
        let is_late = path.to_string_lossy().contains("_0170000000000008");
        let (file, left) = (
            fs::File::create_new(path)?,
            if is_late { 1 << 20 } else { 0 },
        );
        Ok(Box::new(Small { file, left }))
    });
    let (mut now, mut lost) = (Mono::default(), 0);
    for n in 0..90_000 {
        lost += writer.write(message(n), now);
        now = now.after(Duration::from_millis(100));
        lost += writer.handle_time(now);
    }
    lost += writer.finish();
    let all = files(folder.path());
    assert_eq!(all.len(), 1);
    let said = format!("\"row\":\"dropped\",\"rows\":{lost}");
    assert!(text(&all[0]).contains(&said), "{said}");
    assert_eq!(read(&all[0]).0.len() as u64 + lost, 90_000);
}

#[test]
fn the_thread_writes_all_that_was_given_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = RecorderConfig::new(folder.path(), "x", "binance");
    let dropped = counter();
    let (tap, recorder) = start(config, Room::default(), &dropped).unwrap();
    (1..=1_000).for_each(|n| tap.put(message(n)));
    drop(tap);
    drop(recorder);
    assert_eq!(dropped.get(), 0);
    let (times, whole) = read(&files(folder.path())[0]);
    assert!(whole && times == (1..=1_000).collect::<Vec<_>>());
}
