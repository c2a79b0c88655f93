//! Other clients against a running gateway: Python's `websockets`, Node's `ws` in both encodings,
//! `websocat`, our own `tapecast watch`, the README's blocks, a real browser on the live page (also
//! through nginx), and Prometheus' view of all metrics.
//!
//! Every client follows the protocol as its documentation describes it, not our code: the scripts under
//! `tests/clients` share no code with the crates.

use crate::gateway::{Gateway, binary};
use crate::proxy::Proxy;
use crate::run::{Failure, must, output, program, root};
use crate::{http, metrics, readme, setup};
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Starts a gateway, lets every client at it, and stops it.
pub(crate) fn run() -> Result<Option<String>, Failure> {
    let gateway = Gateway::start()?;
    let url = format!("ws://{}/v1/ws", gateway.public);
    let folder = root().join("tests/clients");
    let mut failures = Vec::new();
    let mut left_out = None;
    let mut note = |name: &str, outcome: Result<(), Failure>| {
        println!(
            "    {} {name}",
            if outcome.is_ok() { "ok    " } else { "FAILED" }
        );
        failures.extend(outcome.err().map(|failure| format!("{name}: {failure}")));
    };
    note(
        "python websockets",
        must(
            program(setup::python())
                .arg(folder.join("websockets_client.py"))
                .arg(&url),
        ),
    );
    note(
        "node ws",
        must(program("node").arg(folder.join("ws_client.mjs")).arg(&url)),
    );
    note(
        "node in binary",
        must(
            program("node")
                .arg(folder.join("binary_client.mjs"))
                .arg(&url)
                .arg(gateway.push.to_string()),
        ),
    );
    note("a feed of one's own", own_feed(&gateway, &url));
    note("tapecast watch", watch(&url));
    match setup::websocat() {
        Some(websocat) => note("websocat", websocat_prints_frames(program(websocat), &url)),
        None => left_out = Some("websocat is not available here; its test was skipped".to_owned()),
    }
    let snippets = readme::run(&gateway).map(|skipped| {
        left_out = left_out.take().or(skipped);
    });
    note("the README's snippets", snippets);
    note("browser", browser(&gateway));
    note("behind nginx", behind_nginx(&gateway));
    note("metrics of the dashboards", dashboards(&gateway));
    note("stop", gateway.stop());
    if failures.is_empty() {
        Ok(left_out)
    } else {
        Err(failures.join("\n"))
    }
}

/// Publishes over TCP with Python and watches with `websockets`: decimals arrive as they were sent.
fn own_feed(gateway: &Gateway, url: &str) -> Result<(), Failure> {
    let script = root().join("tests/clients/own_feed.py");
    must(
        program(setup::python())
            .arg(script)
            .arg(url)
            .arg(gateway.push.to_string()),
    )
}

/// The README's line, made to end by itself.
fn watch(url: &str) -> Result<(), Failure> {
    let printed = output(program(binary()).args([
        "watch",
        url,
        "trade:sim:BTC-USD",
        "--count",
        "3",
        "--json",
    ]))?;
    let ours = "{\"topic\":\"trade:sim:BTC-USD\",\"type\":\"update\"";
    let frames = printed
        .lines()
        .filter(|line| line.starts_with(ours))
        .count();
    if frames == 3 {
        Ok(())
    } else {
        Err(format!("asked for 3 updates, got {frames}:\n{printed}"))
    }
}

/// `websocat` reads a request from its input and prints what comes.
fn websocat_prints_frames(mut websocat: Command, url: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| format!("websocat: {error}");
    websocat.args([
        "--no-close",
        "--max-messages-rev",
        "4",
        "--protocol",
        "tapecast.v1.json",
        url,
    ]);
    let mut running = websocat
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut input) = running.stdin.take() {
        writeln!(
            input,
            r#"{{"op":"subscribe","id":1,"topics":["quote:sim:BTC-USD"]}}"#
        )
        .map_err(failed)?;
    }
    let printed = running.wait_with_output().map_err(failed)?;
    let text = String::from_utf8_lossy(&printed.stdout);
    for expected in [
        "\"op\":\"welcome\"",
        "\"op\":\"subscribed\"",
        "\"type\":\"snapshot\"",
    ] {
        if !text.contains(expected) {
            return Err(format!("the output does not contain {expected}:\n{text}"));
        }
    }
    Ok(())
}

fn browser(gateway: &Gateway) -> Result<(), Failure> {
    let browser = setup::browser().ok_or("no browser: run `cargo xtask setup`")?;
    let script = root().join("tests/clients/browser.mjs");
    let mut node = program("node");
    must(
        node.arg(script)
            .arg(format!("http://{}/", gateway.public))
            .env("TAPECAST_BROWSER", browser),
    )
}

/// The recipe for nginx, with a real one: the page, the lists and the WebSocket pass.
fn behind_nginx(gateway: &Gateway) -> Result<(), Failure> {
    let proxy = Proxy::start(gateway.public)?;
    let browser = setup::browser().ok_or("no browser: run `cargo xtask setup`")?;
    let script = root().join("tests/clients/proxied.mjs");
    must(
        program("node")
            .arg(script)
            .arg(format!("http://{}/", proxy.address))
            .env("TAPECAST_BROWSER", browser),
    )?;
    watch(&format!("ws://{}/v1/ws", proxy.address))
}

/// Every metric that a dashboard or a rule names is exported, with its help; and every one that is exported
/// is on a dashboard and in the table of the documents.
fn dashboards(gateway: &Gateway) -> Result<(), Failure> {
    let (status, exposition) = http::get(gateway.admin, "/metrics")?;
    if status != 200 {
        return Err(format!("/metrics answered {status}"));
    }
    let (named, exported) = (metrics::named()?, metrics::exported(&exposition));
    let missing = metrics::missing(&named.anywhere, &exported);
    if !missing.is_empty() {
        return Err(format!(
            "these metrics are named under dashboards/ but are not exported: {}",
            missing.join(", ")
        ));
    }
    let unseen = metrics::unseen(&named.shown, &exported);
    if !unseen.is_empty() {
        return Err(format!(
            "exported, and on no dashboard: {}; add a panel, or a reason to NOT_SHOWN in \
             crates/xtask/src/metrics.rs",
            unseen.join(", ")
        ));
    }
    let undocumented = metrics::undocumented(&metrics::documented()?, &exported);
    if !undocumented.is_empty() {
        return Err(format!(
            "the table of metrics in {}: {}",
            metrics::TABLE,
            undocumented.join(", ")
        ));
    }
    let helpless: Vec<&String> = exported
        .keys()
        .filter(|name| !exposition.contains(&format!("# HELP {name} ")))
        .collect();
    if !helpless.is_empty() {
        return Err(format!("these metrics have no help text: {helpless:?}"));
    }
    lint(&exposition)
}

/// Prometheus' own opinion of the exposition.
fn lint(exposition: &str) -> Result<(), Failure> {
    let mut promtool = Command::new(setup::promtool());
    let failed = |error: std::io::Error| format!("promtool: {error}");
    let mut running = promtool
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut input) = running.stdin.take() {
        input.write_all(exposition.as_bytes()).map_err(failed)?;
    }
    let status = running.wait().map_err(failed)?;
    if status.success() {
        Ok(())
    } else {
        Err("promtool check metrics found problems (see above)".to_owned())
    }
}
