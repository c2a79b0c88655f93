//! Client frames to messages (RFC 6455, section 5), without I/O.
//!
//! The reader gets bytes as the socket returns them. It takes whole frames from them, and keeps only an
//! incomplete frame or message. A connection that is not in the middle of a frame or message holds no
//! memory for reading.
//!
//! # Refused
//! * 1002: frames that are not masked, have a reserved bit or opcode, or have a length that is not in its
//!   shortest form; control frames that are fragmented or over 125 bytes; a continuation without a first
//!   frame, and a new message inside another.
//! * 1009: messages above the limit. The header decides this, before a byte of the message is kept.
//! * 1007: text that is not UTF-8.
//! * 1003: binary messages.

use tapecast_wire::{CloseReason, frame::CONTROL_BYTES_MAX};

/// A connection's reading state.
#[derive(Debug, Default)]
pub struct Reader(Option<Box<Partial>>);

/// What was cut off.
#[derive(Debug, Default)]
struct Partial {
    /// The beginning of a frame.
    frame: Vec<u8>,
    /// The beginning of a message, unmasked; none if we are not within one.
    message: Option<Vec<u8>>,
}

/// What a client said.
#[derive(Debug, Eq, PartialEq)]
pub enum Incoming<'a> {
    /// A text message.
    Text(&'a [u8]),
    /// A ping, to be answered with the same bytes.
    Ping(&'a [u8]),
    /// A pong.
    Pong,
    /// The closing handshake, with its code if there is one.
    Close(Option<u16>),
}

/// A violation that ends the connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Violation {
    /// What the close frame says.
    pub reason: CloseReason,
    /// What is wrong, for the client's developer.
    pub message: &'static str,
}

#[derive(Clone, Copy)]
struct Header {
    fin: bool,
    opcode: u8,
    mask: [u8; 4],
    header: usize,
    payload: usize,
}

const fn protocol(message: &'static str) -> Violation {
    Violation {
        reason: CloseReason::Protocol,
        message,
    }
}

impl Reader {
    /// Bytes of memory that are held for what was cut off; none between two messages.
    pub fn held_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |partial| {
            let message = partial.message.as_ref().map_or(0, Vec::capacity);
            size_of::<Partial>() + partial.frame.capacity() + message
        })
    }

    /// Takes bytes from the socket and calls `handle` for each message; stops early if it returns
    /// `false`. `bytes` is scratch: payloads are unmasked in place. Returns how many frames there were.
    ///
    /// # Errors
    /// If the client broke the protocol; nothing after that can be read.
    pub fn feed(
        &mut self,
        bytes: &mut [u8],
        message_bytes_max: usize,
        mut handle: impl FnMut(Incoming<'_>) -> bool,
    ) -> Result<u32, Violation> {
        let (mut rest, mut frames) = (bytes, 0);
        // The frame that was cut off comes first: add bytes to it until it is whole.
        while let Some(partial) = self.0.as_mut().filter(|p| !p.frame.is_empty()) {
            let within = partial.message.as_ref().map(Vec::len);
            let header = Header::parse(&partial.frame, within, message_bytes_max)?;
            // Of a header that is not whole only the next byte is known to belong to it.
            let want = header.map_or(partial.frame.len() + 1, |h| h.header + h.payload);
            if partial.frame.len() < want {
                if rest.is_empty() {
                    return Ok(frames);
                }
                let (head, tail) = rest.split_at_mut((want - partial.frame.len()).min(rest.len()));
                partial.frame.extend_from_slice(head);
                rest = tail;
                continue;
            }
            let Some(header) = header else { continue };
            let mut frame = std::mem::take(&mut partial.frame);
            frames += 1;
            if !self.frame(header, &mut frame[header.header..], &mut handle)? {
                return Ok(frames);
            }
        }
        while !rest.is_empty() {
            let within = self
                .0
                .as_ref()
                .and_then(|p| p.message.as_ref())
                .map(Vec::len);
            match Header::parse(rest, within, message_bytes_max)? {
                Some(header) if rest.len() >= header.header + header.payload => {
                    let (frame, tail) = rest.split_at_mut(header.header + header.payload);
                    rest = tail;
                    frames += 1;
                    if !self.frame(header, &mut frame[header.header..], &mut handle)? {
                        return Ok(frames);
                    }
                }
                _ => {
                    self.0.get_or_insert_default().frame = rest.to_vec();
                    return Ok(frames);
                }
            }
        }
        Ok(frames)
    }

    /// Handles one whole frame. Returns what `handle` returned.
    fn frame(
        &mut self,
        header: Header,
        payload: &mut [u8],
        handle: &mut impl FnMut(Incoming<'_>) -> bool,
    ) -> Result<bool, Violation> {
        for (byte, key) in payload.iter_mut().zip(header.mask.iter().cycle()) {
            *byte ^= key;
        }
        let go_on = match (header.opcode, header.fin) {
            (OP_PING, _) => handle(Incoming::Ping(payload)),
            (OP_PONG, _) => handle(Incoming::Pong),
            (OP_CLOSE, _) => handle(Incoming::Close(close_code(payload)?)),
            (OP_TEXT, true) => {
                text(payload)?;
                handle(Incoming::Text(payload))
            }
            (OP_TEXT, false) => {
                self.0.get_or_insert_default().message = Some(payload.to_vec());
                true
            }
            // Only continuations are left: the header has been judged.
            (_, fin) => {
                let Some(message) = self.0.as_mut().and_then(|p| p.message.as_mut()) else {
                    return Err(protocol("a continuation frame without a first frame"));
                };
                message.extend_from_slice(payload);
                if fin {
                    let message = self.0.as_mut().and_then(|p| p.message.take());
                    let message = message.unwrap_or_default();
                    text(&message)?;
                    handle(Incoming::Text(&message))
                } else {
                    true
                }
            }
        };
        if self
            .0
            .as_ref()
            .is_some_and(|p| p.frame.is_empty() && p.message.is_none())
        {
            self.0 = None;
        }
        Ok(go_on)
    }
}

impl Header {
    /// Parses and judges a header; none if it is not whole yet. `within` is the size so far of the
    /// message we are in.
    fn parse(
        bytes: &[u8],
        within: Option<usize>,
        message_bytes_max: usize,
    ) -> Result<Option<Self>, Violation> {
        let Some(&first) = bytes.first() else {
            return Ok(None);
        };
        let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
        if first & 0x70 != 0 {
            return Err(protocol(
                "a reserved bit is set, but no extension was negotiated",
            ));
        }
        match (opcode, within) {
            (OP_CONTINUATION, None) => {
                return Err(protocol("a continuation frame without a first frame"));
            }
            (OP_TEXT | OP_BINARY, Some(_)) => {
                return Err(protocol("a new message began inside a fragmented message"));
            }
            (OP_BINARY, None) => {
                let reason = CloseReason::Unsupported;
                return Err(Violation {
                    reason,
                    message: "requests must be text messages",
                });
            }
            (OP_CONTINUATION | OP_TEXT | OP_CLOSE | OP_PING | OP_PONG, _) => {}
            _ => return Err(protocol("the opcode is reserved")),
        }
        let Some(&second) = bytes.get(1) else {
            return Ok(None);
        };
        if second & 0x80 == 0 {
            return Err(protocol("client frames must be masked"));
        }
        let control = opcode >= OP_CLOSE;
        let short = usize::from(second & 0x7f);
        if control && (!fin || short > CONTROL_BYTES_MAX) {
            return Err(protocol(
                "control frames must not be fragmented and have at most 125 bytes",
            ));
        }
        let extended = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some(spelled) = bytes.get(2..2 + extended) else {
            return Ok(None);
        };
        let payload = match extended {
            0 => short as u64,
            _ => spelled.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)),
        };
        if extended == 2 && payload < 126
            || extended == 8 && (payload < 65_536 || payload >> 63 != 0)
        {
            return Err(protocol("the payload length must have its shortest form"));
        }
        let room = (message_bytes_max - within.unwrap_or(0).min(message_bytes_max)) as u64;
        if !control && payload > room {
            return Err(Violation {
                reason: CloseReason::TooLarge,
                message: "the message is too large; split it into several requests",
            });
        }
        let Some(mask) = bytes.get(2 + extended..6 + extended) else {
            return Ok(None);
        };
        let mask = [mask[0], mask[1], mask[2], mask[3]];
        Ok(Some(Self {
            fin,
            opcode,
            mask,
            header: 6 + extended,
            payload: payload as usize,
        }))
    }
}

fn text(message: &[u8]) -> Result<(), Violation> {
    let valid = std::str::from_utf8(message).is_ok();
    valid.then_some(()).ok_or(Violation {
        reason: CloseReason::NotUtf8,
        message: "the text is not UTF-8",
    })
}

/// The code of a close frame (RFC 6455, section 7.4), judged.
fn close_code(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let [high, low, reason @ ..] = payload else {
        return if payload.is_empty() {
            Ok(None)
        } else {
            Err(protocol("the close code is incomplete"))
        };
    };
    text(reason)?;
    match u16::from_be_bytes([*high, *low]) {
        code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => Ok(Some(code)),
        _ => Err(protocol("a frame must not contain this close code")),
    }
}

const OP_CONTINUATION: u8 = 0;
const OP_TEXT: u8 = 1;
const OP_BINARY: u8 = 2;
const OP_CLOSE: u8 = 8;
const OP_PING: u8 = 9;
const OP_PONG: u8 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![first];
        match payload.len() {
            n @ 0..126 => out.push(0x80 | n as u8),
            n @ 126..65_536 => {
                out.push(0x80 | 126);
                out.extend((n as u16).to_be_bytes());
            }
            n => {
                out.push(0x80 | 127);
                out.extend((n as u64).to_be_bytes());
            }
        }
        let mask = [1, 2, 3, 4];
        out.extend(mask);
        out.extend(payload.iter().zip(mask.iter().cycle()).map(|(b, k)| b ^ k));
        out
    }

    fn read(pieces: &[&[u8]], max: usize) -> Result<(Vec<String>, bool), Violation> {
        let (mut reader, mut said) = (Reader::default(), Vec::new());
        for piece in pieces {
            reader.feed(&mut piece.to_vec(), max, |incoming| {
                said.push(match incoming {
                    Incoming::Text(text) => format!("text {}", String::from_utf8_lossy(text)),
                    other => format!("{other:?}"),
                });
                true
            })?;
        }
        Ok((said, reader.held_bytes() == 0))
    }

    fn refused(bytes: &[u8]) -> CloseReason {
        read(&[bytes], 100).unwrap_err().reason
    }

    #[test]
    fn violations_end_the_connection_with_the_right_code() {
        assert_eq!(refused(&[0x81, 0x01, b'x']), CloseReason::Protocol); // not masked
        assert_eq!(refused(&[0xc1]), CloseReason::Protocol); // RSV1
        assert_eq!(refused(&[0x83]), CloseReason::Protocol); // opcode 3
        assert_eq!(refused(&client_frame(0x80, b"x")), CloseReason::Protocol); // no beginning
        assert_eq!(refused(&client_frame(0x09, b"x")), CloseReason::Protocol); // fragmented ping
        assert_eq!(refused(&[0x89, 0x80 | 126]), CloseReason::Protocol); // long ping
        assert_eq!(refused(&[0x81, 0x80 | 126, 0, 5]), CloseReason::Protocol); // not minimal
        assert_eq!(refused(&client_frame(0x88, b"x")), CloseReason::Protocol); // half a code
        assert_eq!(
            refused(&client_frame(0x88, &1005_u16.to_be_bytes())),
            CloseReason::Protocol
        );
        assert_eq!(
            refused(&client_frame(0x88, b"\x03\xe8\xff")),
            CloseReason::NotUtf8
        );
        assert_eq!(refused(&client_frame(0x81, b"\xff")), CloseReason::NotUtf8);
        assert_eq!(refused(&client_frame(0x82, b"x")), CloseReason::Unsupported);
        assert_eq!(
            refused(&client_frame(0x81, &[b'x'; 101])),
            CloseReason::TooLarge
        );
        let four_gib = [0x81, 0x80 | 127, 0, 0, 0, 1, 0, 0, 0, 0];
        assert_eq!(refused(&four_gib), CloseReason::TooLarge);
        let fragments = [
            client_frame(0x01, &[b'x'; 60]),
            client_frame(0x80, &[b'x'; 60]),
        ]
        .concat();
        assert_eq!(refused(&fragments), CloseReason::TooLarge);
        let twice = [client_frame(0x01, b"x"), client_frame(0x81, b"x")].concat();
        assert_eq!(refused(&twice), CloseReason::Protocol);
    }

    #[test]
    fn nothing_is_kept_between_messages() {
        let (said, idle) = read(&[&client_frame(0x81, b"hello")], 100).unwrap();
        assert_eq!((said, idle), (vec!["text hello".to_owned()], true));
        let (said, idle) = read(&[&client_frame(0x81, b"hello")[..5]], 100).unwrap();
        assert_eq!((said, idle), (vec![], false));
    }

    proptest! {
        /// However the bytes are cut, the same is understood.
        #[test]
        fn cuts_do_not_matter(cuts in prop::collection::vec(0_usize..400, 0..12)) {
            let stream = [
                client_frame(0x81, b"one"),
                client_frame(0x01, b"tw"),
                client_frame(0x89, b"ping"),
                client_frame(0x00, b""),
                client_frame(0x80, "o é".as_bytes()),
                client_frame(0x8a, b""),
                client_frame(0x81, &[b'l'; 200]),
                client_frame(0x88, &1000_u16.to_be_bytes()),
            ].concat();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &stream[w[0]..w[1]]).collect();
            let (said, idle) = read(&pieces, 300).unwrap();
            prop_assert!(idle);
            let long = format!("text {}", "l".repeat(200));
            prop_assert_eq!(
                said,
                ["text one", "Ping([112, 105, 110, 103])", "text two é", "Pong", &long, "Close(Some(1000))"]
            );
        }

        #[test]
        fn no_bytes_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..10)) {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let _ = read(&pieces, 100);
        }
    }
}
