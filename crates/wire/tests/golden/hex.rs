//! Golden files: bytes in hexadecimal, with their offset before and their meaning behind them.

use std::path::{Path, PathBuf};

/// The files of one kind.
pub(crate) fn folder(kind: &str) -> PathBuf {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    golden.join(kind)
}

/// The bytes of the file of this name, which must be these.
pub(crate) fn compared(kind: &str, name: &str, bytes: &[u8]) -> Vec<u8> {
    let path = folder(kind).join(name).with_extension("hex");
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    let expected = bytes_of(&golden);
    assert!(bytes == expected, "{name} is now\n{}", plain(bytes));
    expected
}

/// The bytes of a golden file: offset, two spaces, at most eight bytes, and mostly two spaces and words.
fn bytes_of(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in text.lines() {
        let mut columns = line.trim_start().splitn(3, "  ");
        let offset: usize = columns.next().unwrap().parse().unwrap();
        assert_eq!(offset, bytes.len(), "{line}");
        let eight = columns.next().unwrap().split(' ');
        bytes.extend(eight.map(|byte| u8::from_str_radix(byte, 16).unwrap()));
        assert!(bytes.len() <= offset + 8, "{line}");
    }
    bytes
}

fn plain(bytes: &[u8]) -> String {
    let lines = bytes.chunks(8).enumerate().map(|(line, eight)| {
        let eight: Vec<String> = eight.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{:3}  {}", line * 8, eight.join(" "))
    });
    lines.collect::<Vec<_>>().join("\n")
}
