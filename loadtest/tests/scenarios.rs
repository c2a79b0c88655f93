//! Goal: every bundled scenario does what it says, end to end. Method: the program itself with tiny
//! numbers against the workspace's own gateway, which it starts; what must hold for any speed of the
//! machine is asserted, figures are not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use loadtest::result::AnyResult;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The gateway, built once and lying beside the harness.
fn gateway() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = Path::new(env!("CARGO_BIN_EXE_loadtest")).parent().unwrap();
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.args(["build", "--quiet", "--package", "tapecast"]);
        cargo.arg("--target-dir").arg(folder.parent().unwrap());
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success(), "the gateway builds");
        folder.join("tapecast")
    })
}

fn loadtest(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(arguments)
        .output()
        .unwrap()
}

/// Runs a scenario; what it wrote, once it is read as a result and found clean.
fn run(scenario: &str, settings: &[&str], options: &[&str]) -> Value {
    let server = gateway().to_str().unwrap();
    let mut arguments = vec!["run", scenario, "--no-pin", "--server-bin", server];
    for setting in ["warm_up_s=0.1", "recover_s=0.3"].iter().chain(settings) {
        arguments.extend(["--set", setting]);
    }
    arguments.extend(options);
    let output = loadtest(&arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice::<AnyResult>(&output.stdout).unwrap();
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["schema"], 2);
    if result["kind"] == "run" {
        assert_eq!(result["clean"], true, "{said}");
        assert_eq!(result["scenario"]["name"], scenario);
    }
    result
}

fn number(result: &Value, place: &str) -> f64 {
    let found = result.pointer(place).and_then(Value::as_f64);
    found.unwrap_or_else(|| unreachable!("no number at {place}"))
}

#[track_caller]
fn same(left: f64, right: f64) {
    assert!((left - right).abs() < 1e-6, "{left} and {right}");
}

#[test]
fn fanout_delivers_everything_on_time_and_says_what_it_cost() {
    let options = ["--connections", "20", "--seconds", "0.5", "--rate", "200"];
    let result = run("fanout", &["parsed_clients=5"], &options);
    assert!(number(&result, "/latency_us/count") > 0.0);
    assert!(number(&result, "/latency_us/p50") <= number(&result, "/latency_us/p99_99"));
    // Every frame of every client is verified, though only five are read to the end.
    let published = number(&result, "/traffic/published");
    assert!(number(&result, "/traffic/verified_frames") > published * 10.0);
    let threads = result["server"]["threads"].as_array().unwrap();
    let named = |name: &str| {
        threads
            .iter()
            .any(|t| t["name"].as_str().unwrap().starts_with(name))
    };
    assert!(named("shard-0"), "{threads:?}");
    let cpu: f64 = threads.iter().map(|t| number(t, "/cpu_s")).sum();
    same(cpu, number(&result, "/server/cpu_s"));
    // What the gateway counts over the whole run balances.
    let counted = |key: &str| number(&result, &format!("/metrics/run/{key}"));
    let accounted = counted("frames_delivered")
        + counted("frames_conflated")
        + counted("frames_dropped")
        + counted("frames_queued");
    same(counted("frames_indexed"), accounted);
    assert!(result["harness"]["busy_share"].is_number());
    assert!(result["harness_limited"].is_boolean());
}

#[test]
fn many_topics_are_chosen_by_the_seed_and_all_verified() {
    let settings = ["topics=20", "topics_per_client=5", "window=50"];
    let options = ["--connections", "20", "--seconds", "0.5"];
    let result = run("many_topics", &settings, &options);
    assert!(number(&result, "/traffic/published") >= 50.0);
    assert!(number(&result, "/latency_us/count") > 0.0);
    assert_eq!(result["integrity"]["behind"], 0);
}

#[test]
fn bursts_come_when_all_have_the_last() {
    for (scenario, window) in [("burst", "window=8"), ("burst_256", "window=64")] {
        let result = run(
            scenario,
            &[window],
            &["--connections", "20", "--seconds", "0.3"],
        );
        let published = number(&result, "/traffic/published");
        assert!(published >= 8.0, "{published}");
        assert!(number(&result, "/metrics/window/writes") > 0.0);
    }
}

#[test]
fn stalled_clients_end_with_the_right_state_and_the_others_are_measured_twice() {
    let settings = ["stalled_share=0.2", "stall_s=1.5"];
    let options = ["--connections", "5", "--seconds", "0.5", "--rate", "5000"];
    for kind in ["kind=trade", "kind=quote", "kind=book"] {
        let settings = [&settings[..], &[kind]].concat();
        let result = run("slow_clients", &settings, &options);
        assert!(number(&result, "/stall/latency_us/count") > 0.0);
        assert!(number(&result, "/stall/p99_ratio") > 0.0);
        let slow = &result["slow"];
        assert_eq!(
            (&slow["clients"], &slow["connected"]),
            (&json!(1), &json!(1))
        );
        assert_eq!(slow["topics_right"], slow["topics"], "{slow}");
    }
}

#[test]
fn a_slow_reader_is_rationed_and_ends_with_the_right_state() {
    let settings = ["topics=5", "topics_per_client=5", "slow_bytes_per_s=5000"];
    let options = ["--connections", "3", "--seconds", "1", "--rate", "2000"];
    let result = run("slow_reader", &settings, &options);
    assert_eq!(result["slow"]["connected"], 1);
    assert_eq!(result["slow"]["topics_right"], 5);
    let seconds = result["seconds"].as_array().unwrap();
    assert!(
        seconds
            .iter()
            .all(|s| s["outbox_bytes"].is_number() && s["server_rss_kib"].is_number())
    );
}

#[test]
fn a_connect_storm_counts_welcomes_over_and_over() {
    let options = ["--connections", "10", "--seconds", "0.5"];
    let result = run("connect_storm", &["connecting=4"], &options);
    let welcomed = number(&result, "/joins/welcomed");
    assert!(welcomed > 10.0, "{welcomed}");
    assert_eq!(result["joins"]["failed"], json!({}));
    assert!(number(&result, "/joins/welcomed_per_s") > 0.0);
    same(number(&result, "/joins/to_welcome_us/count"), welcomed);
}

#[test]
fn a_subscribe_storm_is_answered_from_few_snapshots() {
    let options = ["--connections", "200", "--seconds", "1", "--rate", "50"];
    let result = run("subscribe_storm", &[], &options);
    same(number(&result, "/joins/to_snapshot_us/count"), 200.0);
    same(
        number(&result, "/joins/request_to_snapshot_us/count"),
        200.0,
    );
    let encoded = number(&result, "/metrics/run/snapshots_encoded");
    assert!((1.0..100.0).contains(&encoded), "{encoded}");
}

#[test]
fn idle_connections_are_weighed() {
    let result = run("idle", &[], &["--connections", "50", "--seconds", "0.3"]);
    same(number(&result, "/traffic/published"), 0.0);
    same(number(&result, "/joins/welcomed"), 50.0);
    let gained = number(&result, "/server/memory_idle/rss_kib")
        - number(&result, "/server/memory_before/rss_kib");
    same(
        number(&result, "/server/rss_per_connection"),
        gained * 1024.0 / 50.0,
    );
}

#[test]
fn clients_of_a_soak_come_and_go_and_nothing_is_lost() {
    let settings = ["topics=10", "topics_per_client=3", "churn_per_s=40"];
    let options = ["--connections", "10", "--seconds", "1", "--rate", "300"];
    let result = run("soak", &settings, &options);
    assert!(number(&result, "/joins/reconnects") > 0.0);
    assert!(number(&result, "/joins/resubscribes") > 0.0);
    let seconds = result["seconds"].as_array().unwrap();
    assert!(seconds.iter().all(|s| s["server_files"].is_number()));
}

#[test]
fn a_run_is_held_against_the_ceiling_before_and_after_it() {
    let options = [
        "--connections",
        "10",
        "--seconds",
        "0.3",
        "--ceiling",
        "0.1",
    ];
    let result = run("fanout", &[], &options);
    let ceiling = &result["ceiling"];
    let size = number(ceiling, "/before/size");
    same(size, number(ceiling, "/after/size"));
    // The header of such a frame is four bytes; heartbeats are in the mean of the run.
    let measured = number(&result, "/traffic/bytes_per_event") - 4.0;
    assert!((size / measured - 1.0).abs() < 0.25, "{size} {measured}");
    assert!(number(ceiling, "/ratio") > 0.0);
    let refused = loadtest(&["run", "idle", "--ceiling"]);
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn repeats_are_summed_up_shown_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (page, file, other) = (path("page.html"), path("a.json"), path("b.json"));
    let options = ["--connections", "5", "--seconds", "0.3", "--repeat", "2"];
    let series = run(
        "fanout",
        &["rate=200"],
        &[&options[..], &["--report", &page]].concat(),
    );
    assert_eq!(series["kind"], "run_series");
    assert_eq!(series["runs"].as_array().unwrap().len(), 2);
    let p99 = &series["summary"]["p99_us"];
    assert!(number(p99, "/min") <= number(p99, "/median"));
    std::fs::write(&file, series.to_string()).unwrap();
    check_page(&std::fs::read_to_string(&page).unwrap(), 2);

    let same = loadtest(&["compare", &file, &file]);
    let table = String::from_utf8_lossy(&same.stdout).into_owned();
    assert_eq!(same.status.code(), Some(0), "{table}");
    assert!(
        table.contains("p99 us") && !table.contains("WORSE"),
        "{table}"
    );
    let single = run("fanout", &["rate=300"], &options[..4]);
    std::fs::write(&other, single.to_string()).unwrap();
    let refused = loadtest(&["compare", &file, &other]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("rate is 200.0 and 300.0"), "{said}");
    let allowed = loadtest(&["compare", &file, &other, "--allow-different"]);
    let table = String::from_utf8_lossy(&allowed.stdout).into_owned();
    assert!(
        table.contains("not the same scenario: rate is 200.0 and 300.0"),
        "{table}"
    );

    let both = path("both.html");
    assert!(
        loadtest(&["report", &file, &other, "--out", &both])
            .status
            .success()
    );
    check_page(&std::fs::read_to_string(&both).unwrap(), 3);
}

/// A page needs nothing but itself, shows every plot, and has the results in it.
fn check_page(page: &str, runs: usize) {
    assert!(!page.contains("http:") && !page.contains("https:") && !page.contains("//"));
    for outside in ["src=", "href=", "url(", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
    for plot in ["percentiles", "throughput", "latency", "memory", "cpu"] {
        let figure = page.split(&format!("id=\"{plot}-0\"")).nth(1);
        let figure = figure.unwrap_or_else(|| unreachable!("no plot {plot}"));
        let lines = figure
            .split("</figure>")
            .next()
            .unwrap()
            .matches("<polyline")
            .count();
        assert!(lines >= runs, "{plot}: {lines} lines");
    }
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    let json = page
        .split("id=\"results\">")
        .nth(1)
        .unwrap()
        .split("</script>")
        .next()
        .unwrap();
    let results: Vec<AnyResult> = serde_json::from_str(json).unwrap();
    let found: usize = results.iter().map(|r| r.runs().len()).sum();
    assert_eq!(found, runs);
    // What the page says of a run is what ran, whatever the scenario's file says.
    let sentence = results[0].runs()[0].scenario.sentence();
    assert!(page.contains(&format!("<p>{sentence}</p>")), "{sentence}");
}
