//! HTTP requests at the public listener: hyper's reader takes them apart, our rules judge host, query and
//! handshake.
//!
//! # Rules
//! * What is agreed on is a WebSocket handshake by the RFC: every condition is checked again here,
//!   from the bytes.
//! * A refusal has a status of 4xx or 5xx and one line of explanation.

use super::{Broken, Depth, Target};
use hyper::{Method, Request, Version};
use tapecast_edge::io::handshake::judge;
use tapecast_edge::io::http::host;
use tapecast_edge::io::http::origin::Origins;
use tapecast_edge::io::http::query;

/// Headers of one request; hyper takes a hundred.
const HEADERS_MAX: usize = 100;

pub(super) struct Handshake {
    seeds: Vec<Vec<u8>>,
    origins: Origins,
    planted: bool,
}

impl Handshake {
    pub(super) fn new(seeds: Vec<Vec<u8>>) -> Self {
        Self {
            seeds,
            origins: Origins::new(&["https://desk.example".to_owned()]),
            planted: false,
        }
    }
}

impl Target for Handshake {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.seeds.clone()
    }

    fn plant(&mut self) {
        self.planted = true;
    }

    fn run(&mut self, input: &[u8]) -> Result<Depth, Broken> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Request::new(&mut headers);
        if !matches!(parsed.parse(input), Ok(httparse::Status::Complete(_))) {
            return Ok(Depth::Head);
        }
        let Some(request) = request(&parsed) else {
            return Ok(Depth::Head);
        };
        if let Some(query) = request.uri().query()
            && let Err(message) = query::pairs(query)
            && message.contains('\n')
        {
            return Err(Broken(format!("a strange explanation: {message:?}")));
        }
        let judged =
            host::of(&request).and_then(|host| judge(&request, host.as_ref(), &self.origins));
        match judged {
            Err(refusal) => {
                if !(refusal.status.is_client_error() || refusal.status.is_server_error())
                    || refusal.message.contains('\n')
                {
                    return Err(Broken(format!("a strange refusal: {refusal:?}")));
                }
            }
            Ok(agreement) => {
                let keys: Vec<_> = request
                    .headers()
                    .get_all("sec-websocket-key")
                    .iter()
                    .collect();
                let whole = request.method() == Method::GET
                    && request.version() == Version::HTTP_11
                    && keys.len() == 1
                    && keys[0].len() == 24
                    && request
                        .headers()
                        .get_all("sec-websocket-version")
                        .iter()
                        .count()
                        == 1;
                if !whole || (self.planted && agreement.subprotocol.is_some()) {
                    return Err(Broken(format!("agreed to {request:?}")));
                }
            }
        }
        Ok(Depth::Body)
    }
}

/// As hyper would hand it over.
fn request(parsed: &httparse::Request<'_, '_>) -> Option<Request<()>> {
    let version = if parsed.version? == 1 {
        Version::HTTP_11
    } else {
        Version::HTTP_10
    };
    let mut builder = Request::builder()
        .method(parsed.method?)
        .uri(parsed.path?)
        .version(version);
    for header in parsed.headers.iter() {
        builder = builder.header(header.name, header.value);
    }
    builder.body(()).ok()
}
