//! Goal: the ceiling is measured and two measurements can be compared. Method: the program itself, ten
//! sockets, a fifth of a second; figures are checked against each other, never against the clock.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn loadtest(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(arguments)
        .output()
        .unwrap()
}

fn limit(out: &Path, method: &str, batch: &str) -> Value {
    let out = out.to_str().unwrap();
    let output = loadtest(&[
        "limit",
        "--no-pin",
        "--connections",
        "10",
        "--size",
        "150",
        "--seconds",
        "0.2",
        "--method",
        method,
        "--batch",
        batch,
        "--out",
        out,
    ]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&std::fs::read(out).unwrap()).unwrap()
}

#[test]
fn the_ceiling_is_measured_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a.json"), folder.path().join("b.json"));
    for (file, method, batch) in [(&a, "send", "1"), (&b, "writev", "16")] {
        let result = limit(file, method, batch);
        assert_eq!(
            (&result["kind"], &result["method"]),
            (&"limit".into(), &method.into())
        );
        let number = |key: &str| result[key].as_f64().unwrap();
        assert!(number("deliveries") > 0.0 && number("cpu_s") > 0.0);
        assert_eq!(result["failed"], 0);
        assert_eq!(result["reader"]["unreadable"], 0);
        assert!(result["reader"]["parsed_frames"].as_u64().unwrap() > 0);
        let per_cpu = number("deliveries") / number("cpu_s");
        assert!((number("deliveries_per_cpu_s") / per_cpu - 1.0).abs() < 1e-6);
        let per_send = number("ns_per_delivery") * batch.parse::<f64>().unwrap();
        assert!((number("ns_per_send") / per_send - 1.0).abs() < 1e-6);
    }
    let output = loadtest(&["compare", a.to_str().unwrap(), b.to_str().unwrap()]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("not the same batch: 1 and 16"), "{table}");
    assert!(table.contains("deliveries/cpu-s"), "{table}");
}

#[test]
fn a_ceiling_that_cannot_be_measured_says_why() {
    let output = loadtest(&["limit", "--no-pin", "--size", "10"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said.trim(), "loadtest: size = 10: 80 to 65000 bytes");
}
