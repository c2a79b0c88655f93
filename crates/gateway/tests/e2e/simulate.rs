//! `tapecast simulate` as a user starts it: where it listens, what it serves, how it ends.

use crate::binary::tapecast;
use crate::support::PATIENCE;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Child;

/// A simulated venue, killed at the end of a test.
pub(crate) struct Simulated(Child);

impl Drop for Simulated {
    fn drop(&mut self) {
        // Of one that has ended there is nothing left to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts one, and waits until it says where; the scheme and the address.
pub(crate) fn start(arguments: &[&str]) -> (Simulated, String, String) {
    start_venue("binance", arguments)
}

/// The same of another venue.
fn start_venue(venue: &str, arguments: &[&str]) -> (Simulated, String, String) {
    let arguments = [&["simulate", venue, "--listen", "127.0.0.1:0"], arguments].concat();
    let mut child = tapecast(&arguments).spawn().unwrap();
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let found = lines.map_while(Result::ok).find_map(|line| {
        let (_, url) = line.split_once("requests")?;
        let (scheme, rest) = url.trim().split_once("://")?;
        let address = rest.split('/').next()?;
        Some((scheme.to_owned(), address.to_owned()))
    });
    let (scheme, address) = found.unwrap();
    (Simulated(child), scheme, address)
}

#[test]
fn a_simulated_venue_serves_until_it_is_told_to_end() {
    let (mut simulated, scheme, address) = start(&["--plain", "--symbols", "BTCUSDT,SOLUSDC"]);
    assert_eq!(scheme, "http");
    let answer = get(&address, "/api/v3/exchangeInfo");
    assert!(answer.contains(r#""symbol":"SOLUSDC""#), "{answer}");
    kill_process(Pid::from_child(&simulated.0), Signal::TERM).unwrap();
    assert!(simulated.0.wait().unwrap().success());
}

/// The answer to a request without TLS.
fn get(address: &str, target: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn kraken_is_simulated_too() {
    let arguments = ["--plain", "--symbols", "BTC/USD,SOL/EUR"];
    let (_simulated, _, address) = start_venue("kraken", &arguments);
    let answer = get(&address, "/0/public/AssetPairs");
    assert!(answer.contains(r#""wsname":"SOL/EUR""#), "{answer}");
    let mut command = tapecast(&["simulate", "kraken", "--symbols", "BTCUSD"]);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--symbols: \"BTCUSD\" is no pair"), "{said}");
}

#[test]
fn an_authority_is_kept_for_the_next_start_and_for_other_venues() {
    let folder = tempfile::tempdir().unwrap();
    let (kept, out) = (folder.path().join("kept"), folder.path().join("ca.pem"));
    let paths = [&kept, &out].map(|path| path.to_str().unwrap().to_owned());
    let arguments = ["--authority", &paths[0], "--ca-out", &paths[1]];
    let certificate = |venue| {
        let (_simulated, scheme, _) = start_venue(venue, &arguments);
        assert_eq!(scheme, "https");
        std::fs::read_to_string(&out).unwrap()
    };
    let first = certificate("binance");
    assert_eq!(certificate("binance"), first);
    assert_eq!(certificate("kraken"), first);
    std::fs::write(kept.join("authority.pem"), "nonsense").unwrap();
    let mut command = tapecast(&["simulate", "kraken"]);
    let output = command.args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("--authority") && said.contains("remove the directory"),
        "{said}"
    );
}

#[test]
fn with_tls_it_writes_the_authority_that_clients_trust() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let (_simulated, scheme, _) = start(&["--ca-out", file.to_str().unwrap()]);
    assert_eq!(scheme, "https");
    let pem = std::fs::read_to_string(file).unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"), "{pem}");
    assert!(!pem.contains("PRIVATE"));
}

#[test]
fn a_symbol_that_is_none_is_wrong_usage() {
    let mut command = tapecast(&["simulate", "binance", "--symbols", "btc"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--symbols: \"btc\""), "{said}");
}
