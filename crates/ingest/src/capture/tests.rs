//! Recordings that are right, broken, cut off, too long, or none.

use super::*;
use std::io::Write as _;

fn file(name: &str, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    File::create(&path).unwrap().write_all(content).unwrap();
    (dir, path)
}

/// Every line: its number, receive time, and message or fault.
fn read(path: &Path) -> Vec<(u64, Option<u64>, Result<String, String>)> {
    let mut capture = Capture::open(path).unwrap();
    let mut lines = Vec::new();
    while let Some(line) = capture.next_row() {
        let message = match line.message {
            Ok(message) => Ok(String::from_utf8(message.raw.to_vec()).unwrap()),
            Err((broken, _)) => Err(broken.to_string()),
        };
        lines.push((line.number, line.ts.map(UnixNanos::get), message));
    }
    lines
}

const LINES: &str = concat!(
    "{\"ts\":1,\"raw\":\"{\\\"a\\\":\\\"x\\\\ny\\\"}\"}\n",
    "\n",
    "{\"topic\":\"t\",\"ts\":7}\n",
    "not json\n",
    "{\"ts\":5}\n",
    "{\"ts\":\"x\",\"raw\":\"{}\"}\n",
    "{\"ts\":2,\"raw\":{}}\n",
    "{\"ts\":9,\"ra\n",
    "pong\n",
    "{\"raw\":\"pong\",\"ts\":3,\"extra\":[1]}",
);

fn check_lines(path: &Path) {
    let lines = read(path);
    let good: Vec<_> = lines
        .iter()
        .filter_map(|(n, ts, m)| Some((*n, *ts, m.as_ref().ok()?.as_str())))
        .collect();
    assert_eq!(
        good,
        [
            (1, Some(1), "{\"a\":\"x\\ny\"}"),
            (3, None, "{\"topic\":\"t\",\"ts\":7}"),
            (9, None, "pong"),
            (10, Some(3), "pong"),
        ]
    );
    let bad: Vec<_> = lines.iter().filter(|l| l.2.is_err()).map(|l| l.0).collect();
    assert_eq!(bad, [4, 5, 6, 7, 8]);
}

#[test]
fn lines_are_read_and_broken_ones_named_by_number() {
    let (_dir, path) = file("a.jsonl", LINES.as_bytes());
    check_lines(&path);
    let mut packed = zstd::encode_all(&LINES.as_bytes()[..30], 1).unwrap();
    packed.extend(zstd::encode_all(&LINES.as_bytes()[30..], 1).unwrap());
    let (_dir, path) = file("a.jsonl.zst", &packed);
    check_lines(&path);
}

#[test]
fn a_byte_order_mark_and_carriage_returns_are_passed_over() {
    let marked = format!("\u{feff}{}\r\n\r\n", LINES.replace('\n', "\r\n"));
    let (_dir, path) = file("a.jsonl", marked.as_bytes());
    check_lines(&path);
    let (_dir, path) = file("a.zst", &zstd::encode_all(marked.as_bytes(), 1).unwrap());
    check_lines(&path);
    let blank = format!("\u{feff}\r\n{LINES}");
    let (_dir, path) = file("b.jsonl", blank.as_bytes());
    assert_eq!(read(&path)[0].0, 2);
    // Anywhere else it is no JSON.
    let (_dir, path) = file("c.jsonl", format!("{LINES}\n\u{feff}{{}}").as_bytes());
    assert!(read(&path).last().unwrap().2.is_err());
}

#[test]
fn a_file_that_is_cut_off_is_read_up_to_there() {
    let text = "{\"ts\":1,\"raw\":\"{}\"}\n".repeat(20_000);
    let mut noise = 1_u32;
    let mut padded = String::new();
    for line in text.lines() {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        padded.push_str(&line.replace("{}", &format!("{{{noise}}}")));
        padded.push('\n');
    }
    let packed = zstd::encode_all(padded.as_bytes(), 1).unwrap();
    let (_dir, path) = file("a.zst", &packed[..packed.len() / 2]);
    let lines = read(&path);
    assert!(lines.len() > 100, "{}", lines.len());
    let last = lines.last().unwrap().2.as_ref().unwrap_err();
    assert!(last.contains("incomplete"), "{last}");
    assert!(lines[..lines.len() - 1].iter().all(|l| l.2.is_ok()));
}

#[test]
fn a_line_that_is_too_long_is_passed_over_without_being_held() {
    struct Endless(usize);
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Ok(0);
            }
            let length = buffer.len().min(self.0);
            buffer[..length].fill(b'x');
            self.0 -= length;
            if self.0 == 0 {
                buffer[length - 1] = b'\n';
            }
            Ok(length)
        }
    }
    let mut line = Vec::new();
    let mut reader = BufReader::with_capacity(READ_BYTES, Endless(LINE_BYTES_MAX + 2));
    assert!(matches!(
        read_line(&mut reader, &mut line),
        Ok(Reached::TooLong)
    ));
    assert!(line.capacity() <= TOO_LONG_KEPT);
    let mut reader = BufReader::with_capacity(READ_BYTES, Endless(LINE_BYTES_MAX + 1));
    assert!(matches!(
        read_line(&mut reader, &mut line),
        Ok(Reached::Line)
    ));
}

#[test]
fn what_is_no_recording_is_refused_with_its_name() {
    let refusal = |path: &Path| Capture::open(path).err().unwrap().to_string();
    assert!(refusal(Path::new("/nowhere/x.zst")).contains("/nowhere/x.zst"));
    for (name, content) in [
        ("a.zst", &b"{\"ts\":1,\"raw\":\"{}\"}"[..]),
        ("b.md", b"# Title"),
        ("c.zst", b""),
    ] {
        let (_dir, path) = file(name, content);
        let refusal = refusal(&path);
        assert!(
            refusal.contains(name) && refusal.contains("neither zstd"),
            "{refusal}"
        );
    }
    let (dir, _) = file("x", b"");
    assert!(refusal(dir.path()).contains("no recordings in this directory"));
    let below = dir.path().join("kraken");
    std::fs::create_dir(&below).unwrap();
    std::fs::write(below.join("a.jsonl"), "{}").unwrap();
    let refusal = refusal(dir.path());
    assert!(refusal.contains("there are some in") && refusal.ends_with("kraken"));
}

#[test]
fn a_directory_is_one_recording_and_a_file_that_a_crash_has_left_does_not_end_it() {
    let dir = tempfile::tempdir().unwrap();
    let write =
        |name: &str, content: &[u8]| std::fs::write(dir.path().join(name), content).unwrap();
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.write_all(b"{\"ts\":2,\"raw\":\"{}\"}\n").unwrap();
    encoder.flush().unwrap();
    // As after kill -9: the frame has no end.
    write("c.jsonl.zst", encoder.get_ref());
    write("b.jsonl.zst", b"");
    write(
        "a.jsonl",
        b"{\"ts\":1,\"raw\":\"{\\\"a\\\":1}\",\"line\":4,\"used\":false}\n",
    );
    write(
        "d.jsonl",
        b"{\"tapecast\":{\"row\":\"dropped\",\"rows\":3,\"ts\":5}}\n{\"ts\":6,\"raw\":\"{}\"}\n",
    );
    write("notes.txt", b"{}");
    let mut capture = Capture::open(dir.path()).unwrap();
    let mut seen = Vec::new();
    while let Some(item) = capture.next_item() {
        let item = match item {
            Item::Row(Row {
                number,
                ts,
                line,
                used,
                message,
                ..
            }) => {
                let wrong = message.err().map(|(broken, _)| broken);
                format!("{number} {ts:?} {line:?} {used} {wrong:?}")
            }
            Item::Aside(number, aside) => format!("{number} {:?}", aside.what),
        };
        let file = capture.path().file_name().unwrap().to_string_lossy();
        seen.push(format!("{file} {item}"));
    }
    let unread = "None None true Some(CutOff)";
    let expected = [
        "a.jsonl 1 Some(UnixNanos(1)) Some(4) false None".to_owned(),
        format!("b.jsonl.zst 0 {unread}"),
        "c.jsonl.zst 1 Some(UnixNanos(2)) None true None".to_owned(),
        format!("c.jsonl.zst 2 {unread}"),
        "d.jsonl 1 Dropped { rows: 3 }".to_owned(),
        "d.jsonl 2 Some(UnixNanos(6)) None true None".to_owned(),
    ];
    assert_eq!(seen, expected);
}
