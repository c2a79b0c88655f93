//! What the public listener answers beside the WebSocket: the live page, and lists of what exists.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use tapecast_edge::io::listener::{Answer, Pages, plain};
use tapecast_model::{Catalog, ChannelKind, Depth, Instrument};

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The live page: path, content type, text.
const ASSETS: [(&str, &str, &str); 13] = [
    ("/", HTML, include_str!("../page/index.html")),
    (
        "/style.css",
        "text/css; charset=utf-8",
        include_str!("../page/style.css"),
    ),
    (
        "/favicon.svg",
        "image/svg+xml",
        include_str!("../page/favicon.svg"),
    ),
    ("/app.js", SCRIPT, include_str!("../page/app.js")),
    ("/book.js", SCRIPT, include_str!("../page/book.js")),
    ("/columns.js", SCRIPT, include_str!("../page/columns.js")),
    ("/decimal.js", SCRIPT, include_str!("../page/decimal.js")),
    ("/feed.js", SCRIPT, include_str!("../page/feed.js")),
    ("/ladder.js", SCRIPT, include_str!("../page/ladder.js")),
    ("/position.js", SCRIPT, include_str!("../page/position.js")),
    ("/tape.js", SCRIPT, include_str!("../page/tape.js")),
    ("/view.js", SCRIPT, include_str!("../page/view.js")),
    ("/watch.js", SCRIPT, include_str!("../page/watch.js")),
];

/// Entries of one page of a list.
const LIST_MAX: usize = 1_000;

/// What a page of ours may load: nothing but itself.
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; frame-ancestors 'none'";

/// The answers, for the listener.
pub fn pages(catalog: Arc<Catalog>) -> Box<Pages> {
    Box::new(move |request| answer(&catalog, request))
}

fn answer(catalog: &Catalog, request: &Request<Incoming>) -> Option<Answer> {
    let path = request.uri().path();
    let asset = ASSETS.iter().find(|(at, ..)| *at == path);
    if asset.is_none() && !matches!(path, "/v1/instruments" | "/v1/topics") {
        return None;
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "this takes GET");
        refusal
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Some(refusal);
    }
    if let Some((_, kind, text)) = asset {
        return Some(content(kind, Bytes::from_static(text.as_bytes())));
    }
    let query = request.uri().query().unwrap_or_default();
    let list = match path {
        "/v1/instruments" => instruments(catalog, query),
        _ => topics(catalog, query),
    };
    Some(match list {
        Ok(list) => content("application/json", Bytes::from(list.to_string())),
        Err(message) => plain(StatusCode::BAD_REQUEST, &message),
    })
}

fn content(kind: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    answer
}

/// What a list is narrowed to.
#[derive(Debug, Default, PartialEq)]
struct Filter<'a> {
    venue: Option<&'a str>,
    symbol: Option<&'a str>,
    after: usize,
}

/// Reads `venue=`, `symbol=` (a beginning) and `after=` (from `next` of the page before).
fn filter(query: &str) -> Result<Filter<'_>, String> {
    let mut filter = Filter::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        match key {
            "venue" => filter.venue = Some(value),
            "symbol" => filter.symbol = Some(value),
            "after" => {
                let number = value.parse().ok();
                filter.after = number.ok_or_else(|| format!("after={value}: no number"))?;
            }
            other => return Err(format!("no filter {other:?}: venue, symbol, after")),
        }
    }
    Ok(filter)
}

/// One page of matching instruments, and where the next page begins.
fn page(catalog: &Catalog, filter: &Filter<'_>) -> (Vec<Arc<Instrument>>, Option<usize>) {
    let matches = |instrument: &Arc<Instrument>| {
        filter
            .venue
            .is_none_or(|venue| instrument.venue.as_str() == venue)
            && filter
                .symbol
                .is_none_or(|symbol| instrument.symbol.as_str().starts_with(symbol))
    };
    let listed = catalog.instruments().into_iter();
    let after = listed.skip_while(|instrument| instrument.id.index() < filter.after);
    let mut found: Vec<_> = after.filter(matches).take(LIST_MAX + 1).collect();
    let next = (found.len() > LIST_MAX).then(|| found[LIST_MAX].id.index());
    found.truncate(LIST_MAX);
    (found, next)
}

fn channels(catalog: &Catalog, instrument: &Instrument) -> Vec<ChannelKind> {
    let venues = catalog.venues();
    let offer = venues.iter().find(|(venue, _)| *venue == instrument.venue);
    offer.map_or_else(Vec::new, |(_, offer)| offer.channels.iter().collect())
}

fn instruments(catalog: &Catalog, query: &str) -> Result<Value, String> {
    let (found, next) = page(catalog, &filter(query)?);
    let list: Vec<_> = found
        .iter()
        .map(|instrument| {
            let channels = channels(catalog, instrument);
            json!({
                "venue": instrument.venue.as_str(),
                "symbol": instrument.symbol.as_str(),
                "native": instrument.native,
                "price_scale": instrument.price_scale.digits(),
                "qty_scale": instrument.qty_scale.digits(),
                "channels": channels.iter().map(|kind| kind.label()).collect::<Vec<_>>(),
            })
        })
        .collect();
    Ok(json!({ "instruments": list, "next": next }))
}

fn topics(catalog: &Catalog, query: &str) -> Result<Value, String> {
    let (found, next) = page(catalog, &filter(query)?);
    let mut list = Vec::new();
    for instrument in found {
        for kind in channels(catalog, &instrument) {
            let name = format!("{}:{}", instrument.venue, instrument.symbol);
            if kind == ChannelKind::Book {
                list.extend(Depth::ALL.map(|depth| format!("book.{}:{name}", depth.levels())));
            } else {
                list.push(format!("{}:{name}", kind.label()));
            }
        }
    }
    Ok(json!({ "topics": list, "next": next }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapecast_model::catalog::Offer;
    use tapecast_model::{ChannelSet, Scale, Symbol, Venue};

    #[test]
    fn lists_are_filtered_and_paged() {
        let catalog = Catalog::new(5_000);
        let (one, other) = (Venue::new("one").unwrap(), Venue::new("other").unwrap());
        let channels = ChannelSet::EMPTY
            .with(ChannelKind::Trade)
            .with(ChannelKind::Book);
        let any_symbol = Some((Scale::default(), Scale::default()));
        for venue in [&one, &other] {
            catalog.add_venue(
                venue,
                Offer {
                    channels,
                    any_symbol,
                    lossless: false,
                },
            );
        }
        for n in 0..1_500 {
            catalog
                .ensure(&one, &Symbol::new(&format!("A{n}")).unwrap())
                .unwrap();
        }
        catalog.ensure(&other, &Symbol::new("B").unwrap()).unwrap();
        let first = instruments(&catalog, "venue=one").unwrap();
        assert_eq!(first["instruments"].as_array().unwrap().len(), LIST_MAX);
        let rest = instruments(&catalog, &format!("venue=one&after={}", first["next"])).unwrap();
        assert_eq!(rest["instruments"].as_array().unwrap().len(), 500);
        assert_eq!(rest["next"], Value::Null);
        let topics = topics(&catalog, "venue=other&symbol=B").unwrap();
        assert_eq!(topics["topics"][0], "trade:other:B");
        assert_eq!(topics["topics"].as_array().unwrap().len(), 7);
        assert!(
            instruments(&catalog, "limit=3")
                .unwrap_err()
                .contains("limit")
        );
    }
}
