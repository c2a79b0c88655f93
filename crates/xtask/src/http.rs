//! One GET of a gateway on this machine: the status and the body.

use std::net::SocketAddr;
use std::time::Duration;
use ureq::Agent;

/// For the whole answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks for a path and answers the status and the body.
///
/// # Errors
/// If there is no answer in time, or it is not HTTP.
pub(crate) fn get(address: SocketAddr, path: &str) -> Result<(u16, String), String> {
    let url = format!("http://{address}{path}");
    let config = Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .proxy(None);
    let read = || {
        let mut answer = config.build().new_agent().get(&url).call()?;
        Ok((
            answer.status().as_u16(),
            answer.body_mut().read_to_string()?,
        ))
    };
    read().map_err(|error: ureq::Error| format!("{url}: {error}"))
}
