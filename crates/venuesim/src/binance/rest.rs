//! Requests over HTTP: their weights, their answers and their mistakes `[D; the book's answer C]`.

use super::budget::Verdict;
use super::listing::Listing;
use super::messages;
use super::{BinanceSpot, rest_messages};
use crate::clock::Unit;
use crate::fault::Fault;
use crate::garble::half;
use crate::target::Target;
use crate::truth::TruthTrade;
use crate::venue::{AnswerEnd, HttpAnswer};
use std::time::Duration;

/// Whether a request can be answered: a body, or a status and a mistake.
type Answer = Result<String, (u16, i32, String)>;

/// What clients may ask for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Route {
    Ping,
    Time,
    ExchangeInfo,
    Depth,
    Trades,
    HistoricalTrades,
    AggTrades,
    Ticker,
}

// === impl BinanceSpot ===

impl BinanceSpot {
    /// Answers a GET request.
    pub(super) fn answer(&mut self, target: &str) -> HttpAnswer {
        let target = Target::parse(target);
        let Some(route) = Route::of(&target.path) else {
            return self.finish(404, Vec::new(), String::new());
        };
        match self.budget.request(route.weight(&target), self.now) {
            Verdict::Answer => {}
            Verdict::TooMany(seconds) => return self.refuse(429, seconds),
            Verdict::Banned(seconds) => return self.refuse(418, seconds),
        }
        match self.faults.answers.front().copied() {
            Some(Fault::StaleSnapshot) if route != Route::Depth => {}
            Some(fault) => {
                self.faults.answers.pop_front();
                self.note_applied(fault, target.param("symbol"), None);
                return self.wrong_answer(fault, route, &target);
            }
            None => {}
        }
        self.right_answer(route, &target)
    }

    /// The answer without a fault.
    fn right_answer(&mut self, route: Route, target: &Target) -> HttpAnswer {
        match self.content(route, target) {
            Ok(body) => self.finish(200, Vec::new(), body),
            Err((status, code, message)) => {
                let body = rest_messages::mistake(code, &message);
                self.finish(status, Vec::new(), body)
            }
        }
    }

    /// The answer with a fault.
    fn wrong_answer(&mut self, fault: Fault, route: Route, target: &Target) -> HttpAnswer {
        let wait = RETRY_AFTER;
        match fault {
            Fault::RestTooMany => {
                self.budget.pause(self.now + wait);
                self.refuse(429, wait.as_secs())
            }
            Fault::RestBanned => {
                self.budget.ban(wait * 2, self.now);
                self.refuse(418, wait.as_secs() * 2)
            }
            // As seen from such places [L].
            Fault::RestRegion => {
                let message = "Service unavailable from a restricted location according to 'b. Eligibility' in the terms.";
                self.finish(451, Vec::new(), rest_messages::mistake(0, message))
            }
            Fault::RestServerError => {
                let status = self.random.pick(&[500, 502, 503]).copied().unwrap_or(500);
                let body = if status == 500 {
                    let message = "An unknown error occurred while processing the request.";
                    rest_messages::mistake(-1000, message)
                } else {
                    format!("<html><h1>{status}</h1></html>")
                };
                self.finish(status, Vec::new(), body)
            }
            Fault::RestGarbage => {
                let body = "<html><body>Please wait</body></html>".to_owned();
                self.finish(200, Vec::new(), body)
            }
            Fault::StaleSnapshot => match self.stale_depth(target) {
                Some(body) => self.finish(200, Vec::new(), body),
                None => self.right_answer(route, target),
            },
            cut => {
                let mut answer = self.right_answer(route, target);
                if cut == Fault::RestTimeout {
                    answer.end = AnswerEnd::Never;
                } else {
                    answer.end = AnswerEnd::Truncated;
                    answer.body = half(&answer.body);
                }
                answer
            }
        }
    }

    /// A book of some seconds ago.
    fn stale_depth(&self, target: &Target) -> Option<String> {
        let index = self.asked(target).ok()?;
        let limit = limit(target, 100, 5_000).ok()?;
        let mut book = self.listings[index].market.old().clone();
        book.bids.truncate(limit);
        book.asks.truncate(limit);
        Some(messages::partial_depth(&book).ms)
    }

    /// 429 and 418, with the time to wait.
    pub(super) fn refuse(&mut self, status: u16, seconds: u64) -> HttpAnswer {
        let weight = self.config.limits.weight;
        let message = if status == 429 {
            format!(
                "Too much request weight used; current limit is {weight} request weight per 1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API."
            )
        } else {
            let until = self.clock.true_ms(self.now + Duration::from_secs(seconds));
            format!(
                "Way too much request weight used; IP banned until {until}. Please use WebSocket Streams for live updates to avoid bans."
            )
        };
        let headers = vec![("retry-after".to_owned(), seconds.to_string())];
        let body = rest_messages::mistake(-1003, &message);
        self.finish(status, headers, body)
    }

    /// An answer with what every answer has.
    pub(super) fn finish(
        &mut self,
        status: u16,
        mut headers: Vec<(String, String)>,
        body: String,
    ) -> HttpAnswer {
        let used = self.budget.used().to_string();
        for (name, value) in [
            ("content-type", "application/json;charset=UTF-8"),
            ("x-mbx-used-weight", &used),
            ("x-mbx-used-weight-1m", &used),
        ] {
            headers.push((name.to_owned(), value.to_owned()));
        }
        let (least, most) = self.config.rates.answer;
        let range = most.saturating_sub(least).as_micros();
        let more = self.random.below(u64::try_from(range).unwrap_or(0) + 1);
        HttpAnswer {
            status,
            headers,
            body,
            delay: least + Duration::from_micros(more),
            end: AnswerEnd::Whole,
        }
    }

    fn content(&mut self, route: Route, target: &Target) -> Answer {
        match route {
            Route::Ping => Ok("{}".to_owned()),
            Route::Time => {
                let time = self.stamp().text(Unit::Milli);
                Ok(format!(r#"{{"serverTime":{time}}}"#))
            }
            Route::ExchangeInfo => self.exchange_info(target),
            Route::Depth => self.depth_answer(target),
            Route::Trades => self.recent_trades(target, None),
            Route::HistoricalTrades => {
                let from = number(target, "fromId")?;
                self.recent_trades(target, from)
            }
            Route::AggTrades => self.agg_trades(target),
            Route::Ticker => self.tickers(target),
        }
    }

    /// The listing of the parameter `symbol`.
    fn asked(&self, target: &Target) -> Result<usize, (u16, i32, String)> {
        let symbol = target.param("symbol").unwrap_or_default();
        if symbol.is_empty() {
            let message =
                "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.";
            return Err((400, -1102, message.to_owned()));
        }
        self.listed(symbol)
    }

    fn listed(&self, symbol: &str) -> Result<usize, (u16, i32, String)> {
        let index = self.by_symbol.get(symbol).copied();
        index
            .filter(|index| self.listings[*index].market.status.name().is_some())
            .ok_or_else(|| (400, -1121, "Invalid symbol.".to_owned()))
    }

    /// Listings of the parameters `symbol`, `symbols` and `symbolStatus`; all without them.
    fn chosen(&self, target: &Target) -> Result<Vec<&Listing>, (u16, i32, String)> {
        let status = target.param("symbolStatus");
        let names = match (target.param("symbol"), target.param("symbols")) {
            (Some(symbol), _) => Some(vec![symbol.to_owned()]),
            (None, Some(symbols)) => Some(serde_json::from_str(symbols).map_err(|_ignored| {
                let message = "Illegal characters found in parameter 'symbols'; legal range is '^\\[(\"[A-Z0-9-_.]{1,20}\"(,\"[A-Z0-9-_.]{1,20}\"){0,}){0,1}\\]$'.";
                (400, -1100, message.to_owned())
            })?),
            (None, None) => None,
        };
        let chosen: Vec<&Listing> = match names {
            Some(names) => {
                let found = names.iter().map(|name| self.listed(name));
                let found: Result<Vec<usize>, _> = found.collect();
                found?
                    .into_iter()
                    .map(|index| &self.listings[index])
                    .collect()
            }
            None => self.listings.iter().collect(),
        };
        let fits = |listing: &&Listing| {
            let name = listing.market.status.name();
            name.is_some() && status.is_none_or(|status| name == Some(status))
        };
        Ok(chosen.into_iter().filter(fits).collect())
    }

    fn exchange_info(&self, target: &Target) -> Answer {
        let chosen = self.chosen(target)?;
        let symbols: Vec<String> = chosen
            .iter()
            .map(|listing| rest_messages::symbol(&listing.market))
            .collect();
        let time = self.stamp().text(Unit::Milli);
        let weight = self.config.limits.weight;
        Ok(rest_messages::exchange_info(time, weight, &symbols))
    }

    fn depth_answer(&mut self, target: &Target) -> Answer {
        let index = self.asked(target)?;
        let limit = limit(target, 100, 5_000)?;
        let market = &mut self.listings[index].market;
        market.remember();
        let book = market.book.truth(limit);
        Ok(messages::partial_depth(&book).ms)
    }

    /// Trades, oldest first: the newest, or those from a number on.
    fn recent_trades(&self, target: &Target, from: Option<u64>) -> Answer {
        let market = &self.listings[self.asked(target)?].market;
        let limit = limit(target, 500, 1_000)?;
        let trades = market.trades();
        let epoch = trades.back().map_or(0, |trade| trade.renumbered);
        let begin = match from {
            Some(from) => trades
                .partition_point(|trade: &TruthTrade| (trade.renumbered, trade.id) < (epoch, from)),
            None => trades.len().saturating_sub(limit),
        };
        let written: Vec<String> = trades
            .range(begin..)
            .take(limit)
            .map(|trade| rest_messages::trade(trade, self.stamp()))
            .collect();
        Ok(format!("[{}]", written.join(",")))
    }

    fn agg_trades(&self, target: &Target) -> Answer {
        let market = &self.listings[self.asked(target)?].market;
        let limit = limit(target, 500, 1_000)?;
        let from = number(target, "fromId")?;
        let (start, end) = (number(target, "startTime")?, number(target, "endTime")?);
        let aggregates = market.aggregates();
        let fits = |aggregate: &&crate::market::Aggregate| {
            from.is_none_or(|from| aggregate.id >= from)
                && start.is_none_or(|start| aggregate.time_ms >= start)
                && end.is_none_or(|end| aggregate.time_ms <= end)
        };
        let found: Vec<_> = aggregates.iter().filter(fits).collect();
        let newest = from.is_none() && start.is_none();
        let skipped = if newest {
            found.len().saturating_sub(limit)
        } else {
            0
        };
        let written: Vec<String> = found[skipped..]
            .iter()
            .take(limit)
            .map(|aggregate| rest_messages::agg_trade(aggregate, self.stamp()))
            .collect();
        Ok(format!("[{}]", written.join(",")))
    }

    fn tickers(&self, target: &Target) -> Answer {
        let stamp = self.stamp();
        let mini = target.param("type") == Some("MINI");
        let mut written = self
            .chosen(target)?
            .into_iter()
            .map(|listing| rest_messages::ticker(&listing.market, stamp, mini));
        if target.param("symbol").is_some() {
            return Ok(written.next().unwrap_or_default());
        }
        let written: Vec<String> = written.collect();
        Ok(format!("[{}]", written.join(",")))
    }
}

// === impl Route ===

impl Route {
    pub(super) fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/api/v3/ping" => Self::Ping,
            "/api/v3/time" => Self::Time,
            "/api/v3/exchangeInfo" => Self::ExchangeInfo,
            "/api/v3/depth" => Self::Depth,
            "/api/v3/trades" => Self::Trades,
            "/api/v3/historicalTrades" => Self::HistoricalTrades,
            "/api/v3/aggTrades" => Self::AggTrades,
            "/api/v3/ticker/24hr" => Self::Ticker,
            _ => return None,
        })
    }

    /// The documented weight `[D]`.
    fn weight(self, target: &Target) -> u32 {
        match self {
            Self::Ping | Self::Time => 1,
            Self::ExchangeInfo => 20,
            Self::AggTrades => 4,
            Self::Trades | Self::HistoricalTrades => 25,
            Self::Depth => match limit(target, 100, 5_000).unwrap_or(100) {
                0..=100 => 5,
                101..=500 => 25,
                501..=1_000 => 50,
                _ => 250,
            },
            Self::Ticker => {
                let symbols = target.param("symbols").map(|list| list.split(',').count());
                match (target.param("symbol"), symbols) {
                    (Some(_), _) | (None, Some(0..=20)) => 2,
                    (None, Some(21..=100)) => 40,
                    _ => 80,
                }
            }
        }
    }
}

/// A client may come back after this time, when a fault has refused it; twice the time for a ban.
const RETRY_AFTER: Duration = Duration::from_secs(3);

/// The parameter `limit`; more than the most is the most.
fn limit(target: &Target, usual: usize, most: usize) -> Result<usize, (u16, i32, String)> {
    let Some(limit) = number(target, "limit")? else {
        return Ok(usual);
    };
    match usize::try_from(limit).unwrap_or(most) {
        0 => Err((
            400,
            -1130,
            "Data sent for parameter 'limit' is not valid.".to_owned(),
        )),
        limit => Ok(limit.min(most)),
    }
}

/// A parameter that is a whole number.
fn number(target: &Target, name: &str) -> Result<Option<u64>, (u16, i32, String)> {
    let Some(text) = target.param(name) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_ignored| {
        let message = format!(
            "Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
        );
        (400, -1100, message)
    })
}
