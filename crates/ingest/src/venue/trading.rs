//! The states of trading, in the words of each venue.
//!
//! An unknown word has no effect: the state stays as it was and is not guessed.

use tapecast_model::TradingState;

/// Binance: futures, `cs` of `contractInfo`; spot, `status` of the list of instruments.
pub(crate) fn binance(status: &str) -> Option<TradingState> {
    Some(match status {
        "TRADING" => TradingState::Open,
        "PENDING_TRADING" => TradingState::PreOpen,
        "TRADING_HALT" | "HALT" | "BREAK" => TradingState::Halted,
        "CANCEL_ONLY" => TradingState::CancelOnly,
        "END_OF_DAY" => TradingState::Closed,
        "PRE_DELIVERING" | "DELIVERING" | "PRE_SETTLE" | "SETTLING" => TradingState::Settlement,
        "DELIVERED" | "CLOSE" => TradingState::Delisted,
        _ => return None,
    })
}

/// Bybit, the phase of a contract before its listing, in tickers.
pub(super) fn bybit(phase: &str) -> Option<TradingState> {
    Some(match phase {
        "NotStarted" => TradingState::PreOpen,
        "CallAuction" | "CallAuctionNoCancel" | "CrossMatching" => TradingState::Auction,
        "ContinuousTrading" | "Finished" => TradingState::Open,
        _ => return None,
    })
}

/// Coinbase Advanced, of products on `status`.
pub(super) fn coinbase(status: &str) -> Option<TradingState> {
    Some(match status {
        "online" => TradingState::Open,
        "offline" | "internal" => TradingState::Halted,
        "auction" => TradingState::Auction,
        "delisted" => TradingState::Delisted,
        _ => return None,
    })
}

/// Kraken v2, of the system and of pairs.
pub(crate) fn kraken(status: &str) -> Option<TradingState> {
    Some(match status {
        // What is planned has not begun.
        "online" | "upcoming_maintenance" => TradingState::Open,
        "limit_only" => TradingState::LimitOnly,
        "reduce_only" => TradingState::ReduceOnly,
        "cancel_only" => TradingState::CancelOnly,
        "post_only" => TradingState::PostOnly,
        "maintenance" | "work_in_progress" | "emergency" => TradingState::Halted,
        "delisted" => TradingState::Delisted,
        _ => return None,
    })
}

/// OKX, of `instruments`.
pub(super) fn okx(state: &str) -> Option<TradingState> {
    Some(match state {
        "live" => TradingState::Open,
        "suspend" | "rebase" => TradingState::Halted,
        "preopen" => TradingState::PreOpen,
        "post_only" => TradingState::PostOnly,
        "settlement" => TradingState::Settlement,
        "expired" => TradingState::Delisted,
        _ => return None,
    })
}
