//! WebSocket from a client's side, as little of it as a load harness needs.
//!
//! Sans I/O: bytes in, frames out. The handshake always uses the key of RFC 6455's own example, so the
//! answer is known beforehand and nothing has to be hashed. Frames are masked with a key of zero,
//! which is a mask like any other and leaves the payload readable in a packet dump.
//!
//! Refuses frames that a server must not send (masked, reserved bits, larger than [`FRAME_MAX`]): the
//! harness then closes that connection and says why.

/// The largest payload a server may send before the harness takes it for a mistake.
pub const FRAME_MAX: usize = 4 << 20;
/// The largest response head.
const HEAD_MAX: usize = 16 << 10;
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What a frame is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Opcode {
    /// A text message.
    Text,
    /// A binary message.
    Binary,
    /// A piece of a message.
    Continuation,
    /// The end, with a code and a reason.
    Close,
    /// To be answered with a pong of the same payload.
    Ping,
    /// An answer to a ping.
    Pong,
}

/// A whole frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frame<'a> {
    /// What it is.
    pub opcode: Opcode,
    /// What it carries.
    pub payload: &'a [u8],
}

/// What a server sent that is no WebSocket.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WsError {
    /// The handshake was refused.
    #[error("the server answered the handshake with {0:?}")]
    Refused(String),
    /// The handshake succeeded in a way that does not fit the request.
    #[error("the server's handshake has no {0:?}")]
    Handshake(&'static str),
    /// A frame that a server must not send.
    #[error("the server sent a frame that {0}")]
    Frame(&'static str),
}

/// The request that opens a WebSocket.
pub fn handshake(host: &str, path: &str, subprotocol: Option<&str>) -> Vec<u8> {
    let subprotocol = subprotocol
        .map(|s| format!("Sec-WebSocket-Protocol: {s}\r\n"))
        .unwrap_or_default();
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         {subprotocol}\r\n"
    )
    .into_bytes()
}

/// The answer to [`handshake`], for servers in tests and for the ceiling.
pub fn handshake_answer(subprotocol: Option<&str>) -> Vec<u8> {
    let subprotocol = subprotocol
        .map(|s| format!("Sec-WebSocket-Protocol: {s}\r\n"))
        .unwrap_or_default();
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n{subprotocol}\r\n"
    )
    .into_bytes()
}

/// Reads the answer to [`handshake`]: the length of its head, or none if more must come.
///
/// # Errors
/// If the server does not open a WebSocket of the wanted subprotocol.
pub fn handshake_end(bytes: &[u8], subprotocol: Option<&str>) -> Result<Option<usize>, WsError> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return if bytes.len() > HEAD_MAX {
            Err(WsError::Handshake("an end"))
        } else {
            Ok(None)
        };
    };
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("101") {
        let said = String::from_utf8_lossy(&bytes[end..]);
        let said: String = said.trim().chars().take(200).collect();
        return Err(WsError::Refused(
            format!("{status} {said}").trim_end().to_owned(),
        ));
    }
    let header = |name: &str| {
        let mut fields = lines.clone().filter_map(|l| l.split_once(':'));
        fields
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    };
    if header("sec-websocket-accept") != Some(ACCEPT) {
        return Err(WsError::Handshake("the right Sec-WebSocket-Accept"));
    }
    if header("sec-websocket-protocol") != subprotocol {
        return Err(WsError::Handshake("the wanted Sec-WebSocket-Protocol"));
    }
    Ok(Some(end + 4))
}

/// The first frame of `bytes` and how many bytes it takes, or none if more must come.
///
/// # Errors
/// If a server must not send such a frame.
#[inline]
pub fn next_frame(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, WsError> {
    let &[first, second, ..] = bytes else {
        return Ok(None);
    };
    if second & 0x80 != 0 {
        return Err(WsError::Frame("is masked"));
    }
    let (head, length) = match second {
        126 => match bytes.get(2..4) {
            Some(&[a, b]) => (4, usize::from(u16::from_be_bytes([a, b]))),
            _ => return Ok(None),
        },
        127 => match bytes.get(2..10).and_then(|b| <[u8; 8]>::try_from(b).ok()) {
            Some(length) => (
                10,
                usize::try_from(u64::from_be_bytes(length)).unwrap_or(usize::MAX),
            ),
            None => return Ok(None),
        },
        short => (2, usize::from(short)),
    };
    if length > FRAME_MAX {
        return Err(WsError::Frame("is larger than 4 MiB"));
    }
    let opcode = match first {
        0x81 => Opcode::Text,
        0x82 => Opcode::Binary,
        0x88 => Opcode::Close,
        0x89 => Opcode::Ping,
        0x8a => Opcode::Pong,
        0x00..=0x02 | 0x80 => Opcode::Continuation,
        _ => return Err(WsError::Frame("has reserved bits or an unknown opcode")),
    };
    let frame = bytes
        .get(head..head + length)
        .map(|payload| Frame { opcode, payload });
    Ok(frame.map(|frame| (frame, head + length)))
}

/// Appends a masked frame.
pub fn write_masked(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    out.push(match opcode {
        Opcode::Text => 0x81,
        Opcode::Binary => 0x82,
        Opcode::Continuation => 0x80,
        Opcode::Close => 0x88,
        Opcode::Ping => 0x89,
        Opcode::Pong => 0x8a,
    });
    write_length(out, 0x80, payload.len());
    out.extend_from_slice(&[0; 4]); // The mask: x ^ 0 is x.
    out.extend_from_slice(payload);
}

/// Appends a frame as servers send them.
pub fn write_unmasked(out: &mut Vec<u8>, payload: &[u8]) {
    out.push(0x81);
    write_length(out, 0, payload.len());
    out.extend_from_slice(payload);
}

fn write_length(out: &mut Vec<u8>, mask_bit: u8, length: usize) {
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 126 => out.push(mask_bit | short),
        (_, Ok(medium)) => {
            out.push(mask_bit | 126);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            out.push(mask_bit | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// The code of a close frame's payload; 1005 if it carries none.
pub fn close_code(payload: &[u8]) -> u16 {
    match payload {
        &[a, b, ..] => u16::from_be_bytes([a, b]),
        _ => 1005,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_is_read_only_when_whole() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let mut bytes = Vec::new();
            write_unmasked(&mut bytes, &vec![b'x'; length]);
            let whole = bytes.len();
            bytes.push(0x81);
            let (frame, taken) = next_frame(&bytes).unwrap().unwrap();
            assert_eq!(
                (frame.opcode, frame.payload.len(), taken),
                (Opcode::Text, length, whole)
            );
            assert_eq!(next_frame(&bytes[..whole - 1]), Ok(None), "{length}");
        }
    }

    #[test]
    fn what_a_server_must_not_send_is_refused() {
        let mut masked = Vec::new();
        write_masked(&mut masked, Opcode::Text, b"x");
        for bytes in [
            masked.as_slice(),
            &[0xc1, 0],
            &[0x83, 0],
            &[0x81, 127, 1, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert!(
                matches!(next_frame(bytes), Err(WsError::Frame(_))),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn the_handshake_is_checked_against_its_request() {
        let wanted = Some("tapecast.v1.json");
        let answer = handshake_answer(wanted);
        assert_eq!(handshake_end(&answer, wanted), Ok(Some(answer.len())));
        assert_eq!(handshake_end(&answer[..answer.len() - 1], wanted), Ok(None));
        assert!(matches!(
            handshake_end(&answer, None),
            Err(WsError::Handshake(_))
        ));
        let plain = handshake_answer(None);
        assert!(matches!(
            handshake_end(&plain, wanted),
            Err(WsError::Handshake(_))
        ));
        let refusal = b"HTTP/1.1 503 Full\r\nA: b\r\n\r\ntoo many connections";
        let expected = WsError::Refused("HTTP/1.1 503 Full too many connections".into());
        assert_eq!(handshake_end(refusal, None), Err(expected));
        let request = String::from_utf8(handshake("h:1", "/v1/ws", wanted)).unwrap();
        assert!(request.starts_with("GET /v1/ws HTTP/1.1\r\nHost: h:1\r\n"));
        assert!(request.ends_with("Sec-WebSocket-Protocol: tapecast.v1.json\r\n\r\n"));
    }

    #[test]
    fn a_close_tells_its_code() {
        assert_eq!(close_code(&[0x0f, 0xad, b'x']), 4013);
        assert_eq!(close_code(&[]), 1005);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = next_frame(&bytes);
            let _ = handshake_end(&bytes, None);
        }
    }
}
