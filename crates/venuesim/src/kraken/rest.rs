//! Requests over HTTP: the list of pairs, for clients without the channel `instrument`; the time and the status `[D]`.

use super::KrakenSpot;
use super::listing::Listing;
use super::number::{digits_of, shortest};
use super::time;
use crate::clock::Unit;
use crate::fault::Fault;
use crate::garble::half;
use crate::target::Target;
use crate::venue::{AnswerEnd, HttpAnswer};
use std::time::Duration;

// === impl KrakenSpot ===

impl KrakenSpot {
    /// Answers a GET request.
    pub(super) fn answer(&mut self, target: &str) -> HttpAnswer {
        self.counts.requests += 1;
        let target = Target::parse(target);
        let body = match target.path.as_str() {
            "/0/public/AssetPairs" => self.pairs(&target),
            "/0/public/SystemStatus" => {
                let at = time::text(self.stamp().text(Unit::Micro));
                Ok(format!(
                    r#"{{"status":"{}","timestamp":"{at}"}}"#,
                    self.system
                ))
            }
            "/0/public/Time" => {
                let seconds = self.stamp().text(Unit::Milli) / 1_000;
                Ok(format!(r#"{{"unixtime":{seconds}}}"#))
            }
            _ => Err("EGeneral:Unknown method".to_owned()),
        };
        let body = match body {
            Ok(result) => format!(r#"{{"error":[],"result":{result}}}"#),
            Err(mistake) => format!(r#"{{"error":["{mistake}"]}}"#),
        };
        let answer = self.finish(200, body);
        match self.faults.answers.pop_front() {
            Some(fault) => {
                self.note_applied(fault, None, None);
                self.spoil(fault, answer)
            }
            None => answer,
        }
    }

    /// An answer with a fault.
    fn spoil(&mut self, fault: Fault, mut answer: HttpAnswer) -> HttpAnswer {
        match fault {
            Fault::RestTooMany => {
                let body = r#"{"error":["EGeneral:Too many requests"]}"#.to_owned();
                let mut answer = self.finish(429, body);
                let seconds = RETRY_AFTER.as_secs().to_string();
                answer.headers.push(("retry-after".to_owned(), seconds));
                answer
            }
            Fault::RestRegion => self.finish(451, String::new()),
            Fault::RestServerError => {
                let status = self.random.pick(&[500, 502, 503]).copied().unwrap_or(500);
                self.finish(status, format!("<html><h1>{status}</h1></html>"))
            }
            Fault::RestGarbage => {
                self.finish(200, "<html><body>Please wait</body></html>".to_owned())
            }
            Fault::RestTimeout => {
                answer.end = AnswerEnd::Never;
                answer
            }
            _ => {
                answer.end = AnswerEnd::Truncated;
                answer.body = half(&answer.body);
                answer
            }
        }
    }

    fn finish(&mut self, status: u16, body: String) -> HttpAnswer {
        let (least, most) = self.config.rates.answer;
        let range = most.saturating_sub(least).as_micros();
        let more = self.random.below(u64::try_from(range).unwrap_or(0) + 1);
        HttpAnswer {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body,
            delay: least + Duration::from_micros(more),
            end: AnswerEnd::Whole,
        }
    }

    /// Pairs by their old names. Those of shares as tokens come only if they are asked for `[L]`.
    fn pairs(&self, target: &Target) -> Result<String, String> {
        let tokenised = target.param("aclass_base") == Some("tokenized_asset");
        let wanted: Option<Vec<&str>> =
            target.param("pair").map(|pairs| pairs.split(',').collect());
        let listed = self
            .listings
            .iter()
            .filter(|listing| listing.is_listed() && listing.tokenised() == tokenised);
        let mut written = Vec::new();
        for listing in listed {
            let names = OldNames::of(listing);
            let fits = |name: &&str| {
                [&names.key, &names.alternative, &names.stream]
                    .iter()
                    .any(|own| own == name)
            };
            if wanted.as_ref().is_none_or(|wanted| wanted.iter().any(fits)) {
                written.push(names.pair(listing));
            }
        }
        match wanted {
            Some(wanted) if written.len() < wanted.len() => {
                Err("EQuery:Unknown asset pair".to_owned())
            }
            _ => Ok(format!("{{{}}}", written.join(","))),
        }
    }
}

/// Names as the older interface has them: `XXBTZUSD`, `XBTUSD`, `XBT/USD`.
struct OldNames {
    base: String,
    quote: String,
    key: String,
    alternative: String,
    stream: String,
}

// === impl OldNames ===

impl OldNames {
    fn of(listing: &Listing) -> Self {
        let config = &listing.market.config;
        let old = |name: &str| match name {
            "BTC" => "XBT".to_owned(),
            "DOGE" => "XDG".to_owned(),
            name => name.to_owned(),
        };
        let (base, quote) = (old(&config.base), old(&config.quote));
        let alternative = format!("{base}{quote}");
        let stream = format!("{base}/{quote}");
        // Assets of the first years have a letter in front.
        let first = |name: &str| match name {
            "XBT" | "XDG" | "ETH" | "LTC" | "XRP" => format!("X{name}"),
            "USD" | "EUR" | "GBP" | "JPY" | "CAD" => format!("Z{name}"),
            name => name.to_owned(),
        };
        let (base, quote) = (first(&base), first(&quote));
        Self {
            key: format!("{base}{quote}"),
            base,
            quote,
            alternative,
            stream,
        }
    }

    /// A pair `[D]`. Fees and limits are invented.
    fn pair(&self, listing: &Listing) -> String {
        let Self {
            base,
            quote,
            key,
            alternative,
            stream,
        } = self;
        let class = if listing.tokenised() {
            "tokenized_asset"
        } else {
            "currency"
        };
        let config = &listing.market.config;
        format!(
            r#""{key}":{{"altname":"{alternative}","wsname":"{stream}","aclass_base":"{class}","base":"{base}","aclass_quote":"currency","quote":"{quote}","lot":"unit","cost_decimals":5,"pair_decimals":{},"lot_decimals":{},"lot_multiplier":1,"leverage_buy":[2,3],"leverage_sell":[2,3],"fees":[[0,0.4],[10000,0.35]],"fees_maker":[[0,0.25],[10000,0.2]],"fee_volume_currency":"ZUSD","margin_call":80,"margin_stop":40,"ordermin":"{}","costmin":"0.5","tick_size":"{}","status":"{}"}}"#,
            digits_of(listing.said_tick),
            listing.digits.1,
            shortest(config.step.max(10_000)),
            super::number::fixed(listing.said_tick.into(), digits_of(listing.said_tick)),
            listing.status()
        )
    }
}

/// A client may come back after this time, when a fault has refused it.
const RETRY_AFTER: Duration = Duration::from_secs(3);
