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
    let (a, b) = (a.to_str().unwrap(), b.to_str().unwrap());
    let refused = loadtest(&["compare", a, b]);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("writev, 10 sockets, 16 x 150 B"), "{said}");
    let output = loadtest(&["compare", a, b, "--allow-different"]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("deliveries/cpu-s"), "{table}");
}

#[test]
fn several_batches_are_measured_in_one_go() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.json");
    let file = file.to_str().unwrap();
    let mut arguments = vec![
        "limit",
        "--no-pin",
        "--connections",
        "5",
        "--seconds",
        "0.1",
    ];
    arguments.extend(["--batch", "1,16", "--repeat", "2", "--out", file]);
    let output = loadtest(&arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && said.contains("batch_16"),
        "{said}"
    );
    let result: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(result["kind"], "limit_series");
    let batches: Vec<u64> = result["limits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| l["batch"].as_u64().unwrap())
        .collect();
    assert_eq!(batches, [1, 16, 1, 16]);
    assert!(result["summary"]["batch_1"]["median"].as_f64().unwrap() > 0.0);
    let compared = loadtest(&["compare", file, file]);
    let table = String::from_utf8_lossy(&compared.stdout).into_owned();
    assert_eq!(compared.status.code(), Some(0), "{table}");
    assert!(table.contains("send, 5 sockets, 16 x 200 B"), "{table}");
}

#[test]
fn a_ceiling_that_cannot_be_measured_says_why() {
    let output = loadtest(&["limit", "--no-pin", "--size", "10"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said.trim(), "loadtest: size = 10: 80 to 65000 bytes");
    let output = loadtest(&["limit", "--no-pin", "--batch", "1,5000"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said.trim(), "loadtest: batch = 5000: 1 to 1024 frames");
}
