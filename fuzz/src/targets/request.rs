//! Clients' requests and the topics in them.
//!
//! # Rules
//! * A request means the same in another form; see [`super::venue`].
//! * An answer to a bad one is short, however long the request was.
//! * A topic prints as it was parsed.

use super::{Broken, Depth, Target};
use crate::json::Json;
use tapecast_model::Topic;
use tapecast_wire::{ErrorCode, Request};

/// The longest explanation of a mistake, in bytes.
const MESSAGE_BYTES_MAX: usize = 512;

pub(super) struct Requests {
    seeds: Vec<Vec<u8>>,
    planted: bool,
}

impl Requests {
    pub(super) fn new(seeds: Vec<Vec<u8>>) -> Self {
        Self {
            seeds,
            planted: false,
        }
    }
}

impl Target for Requests {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.seeds.clone()
    }

    fn plant(&mut self) {
        self.planted = true;
    }

    fn run(&mut self, input: &[u8]) -> Result<Depth, Broken> {
        let read = Request::parse(input);
        if let Err(error) = &read
            && error.message.len() > MESSAGE_BYTES_MAX
        {
            return Err(Broken(format!("long explanation: {}", error.message)));
        }
        if let Some(turned) = Json::in_another_form(input, false) {
            let mut other = Request::parse(turned.as_bytes());
            if self.planted
                && let Ok(Request::Subscribe(_, topics)) = &mut other
                && topics.len() > 1
            {
                topics[1].after = None;
            }
            let agree = match (&read, &other) {
                (Err(one), Err(two)) => one.code == two.code,
                (one, two) => one == two,
            };
            if !agree {
                return Err(Broken(format!(
                    "in another form it means something else: {read:?}, {other:?} for {turned}"
                )));
            }
        }
        if let Ok(Request::Subscribe(_, topics)) = &read {
            for asked in topics {
                if let Ok(topic) = asked.topic.parse::<Topic>()
                    && topic.to_string() != asked.topic
                {
                    return Err(Broken(format!("{topic} was {}", asked.topic)));
                }
            }
        }
        Ok(match read {
            Err(error) if matches!(error.code, ErrorCode::BadJson | ErrorCode::UnknownOp) => {
                Depth::Head
            }
            _ => Depth::Body,
        })
    }
}
