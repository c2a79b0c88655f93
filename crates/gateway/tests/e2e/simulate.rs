//! `tapecast simulate` as a user starts it: where it listens, what it serves, how it ends.

use crate::binary::tapecast;
use crate::support::PATIENCE;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Child;

/// A simulated venue, killed at the end of a test.
struct Simulated(Child);

impl Drop for Simulated {
    fn drop(&mut self) {
        // Of one that has ended there is nothing left to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts one, and waits until it says where; the scheme and the address.
fn start(arguments: &[&str]) -> (Simulated, String, String) {
    let arguments = [
        &["simulate", "binance", "--listen", "127.0.0.1:0"],
        arguments,
    ]
    .concat();
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
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!(
        "GET /api/v3/exchangeInfo HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(r#""symbol":"SOLUSDC""#), "{answer}");
    kill_process(Pid::from_child(&simulated.0), Signal::TERM).unwrap();
    assert!(simulated.0.wait().unwrap().success());
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
