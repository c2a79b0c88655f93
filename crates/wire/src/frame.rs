//! WebSocket framing of what the server sends (RFC 6455, section 5.2): unmasked, unfragmented.
//!
//! A frame is header and payload together, ready for the socket. The payload is written first, four
//! bytes in, because its length is not known before; the header then goes in front of it. Payloads of
//! 126 bytes to 64 KiB, which is nearly all data frames, are so written exactly once.

use std::ops::Range;

/// What kind of frame it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Opcode {
    /// UTF-8 text.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// The closing handshake.
    Close = 8,
    /// Are you there?
    Ping = 9,
    /// Yes.
    Pong = 10,
}

/// The longest payload of a control frame (RFC 6455, section 5.5).
pub const CONTROL_BYTES_MAX: usize = 125;

const FIN: u8 = 0x80;
const RESERVED: usize = 4;

/// Appends one frame whose payload `write` appends; returns its place in `out`.
pub fn append(out: &mut Vec<u8>, opcode: Opcode, write: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
    let start = out.len();
    out.extend_from_slice(&[0; RESERVED]);
    write(out);
    let payload = out.len() - start - RESERVED;
    let first = FIN | opcode as u8;
    if payload < 126 {
        out.copy_within(start + RESERVED.., start + 2);
        out.truncate(out.len() - 2);
        out[start..start + 2].copy_from_slice(&[first, payload as u8]);
    } else if let Ok(length) = u16::try_from(payload) {
        let [high, low] = length.to_be_bytes();
        out[start..start + RESERVED].copy_from_slice(&[first, 126, high, low]);
    } else {
        let at = start + RESERVED;
        out.splice(at..at, [0; 6]);
        out[start..start + 2].copy_from_slice(&[first, 127]);
        out[start + 2..start + 10].copy_from_slice(&(payload as u64).to_be_bytes());
    }
    start..out.len()
}

/// One frame of a payload that exists already.
pub fn whole(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 10);
    append(&mut out, opcode, |out| out.extend_from_slice(payload));
    out
}

/// A close frame: code and reason, the reason cut to what a control frame holds.
pub fn close(code: u16, reason: &str) -> Vec<u8> {
    let mut end = reason.len().min(CONTROL_BYTES_MAX - 2);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    whole(Opcode::Close, &payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(payload: usize, header: &[u8]) {
        let mut out = b"before".to_vec();
        let body: Vec<u8> = (0..payload).map(|i| i as u8).collect();
        let range = append(&mut out, Opcode::Text, |out| out.extend_from_slice(&body));
        assert_eq!(range, 6..out.len());
        assert_eq!(&out[range.clone()][..header.len()], header);
        assert_eq!(&out[range][header.len()..], body);
    }

    #[test]
    fn lengths_are_spelled_in_the_shortest_form() {
        check(0, &[0x81, 0]);
        check(125, &[0x81, 125]);
        check(126, &[0x81, 126, 0, 126]);
        check(65_535, &[0x81, 126, 0xff, 0xff]);
        check(65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn a_close_reason_is_cut_between_characters() {
        let frame = close(4013, &"é".repeat(100));
        assert_eq!(frame[..4], [0x88, 124, 0x0f, 0xad]);
        assert!(std::str::from_utf8(&frame[4..]).is_ok());
    }
}
