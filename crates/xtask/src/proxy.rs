//! nginx with the configuration `deploy/nginx.conf` for the duration of a step: in front of a gateway,
//! with its two addresses filled in, without privileges, its files under `target/xtask/nginx`.

use crate::gateway::free_port;
use crate::run::{Failure, program, root, scratch};
use crate::{http, setup};
use std::fs;
use std::net::SocketAddr;
use std::process::Child;
use std::time::{Duration, Instant};

const READY_WITHIN: Duration = Duration::from_secs(10);

/// A running nginx.
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    process: Child,
}

impl Proxy {
    /// Starts one in front of a gateway, and waits until it answers for it.
    ///
    /// # Errors
    /// If it is not there, does not take the recipe, or does not answer in time.
    pub(crate) fn start(gateway: SocketAddr) -> Result<Self, Failure> {
        let nginx = setup::nginx().ok_or("no nginx: run `cargo xtask setup`")?;
        let folder = scratch().join("nginx-run");
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        fs::create_dir_all(&folder).map_err(failed)?;
        let address = free_port()?;
        let recipe = fs::read_to_string(root().join("deploy/nginx.conf"))
            .map_err(|error| format!("deploy/nginx.conf: {error}"))?;
        let recipe = fill(
            &recipe,
            "server 127.0.0.1:8080;",
            &format!("server {gateway};"),
        )?;
        let recipe = fill(&recipe, "listen 80;", &format!("listen {address};"))?;
        fs::write(folder.join("tapecast.conf"), recipe).map_err(failed)?;
        fs::write(folder.join("nginx.conf"), main_file()).map_err(failed)?;
        let errors = fs::File::create(folder.join("stderr.log")).map_err(failed)?;
        let process = program(nginx)
            .arg("-p")
            .arg(&folder)
            .args(["-c", "nginx.conf", "-e", "error.log"])
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("nginx: {error}"))?;
        let mut proxy = Self { address, process };
        proxy.wait_ready()?;
        Ok(proxy)
    }

    fn wait_ready(&mut self) -> Result<(), Failure> {
        let started = Instant::now();
        while started.elapsed() < READY_WITHIN {
            if let Ok(Some(status)) = self.process.try_wait() {
                let said = fs::read_to_string(scratch().join("nginx-run/stderr.log"));
                let said = said.unwrap_or_default();
                return Err(format!("nginx ended at start with {status}\n{said}"));
            }
            if matches!(http::get(self.address, "/v1/topics"), Ok((200, _))) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!(
            "nginx did not answer for the gateway within {} s",
            READY_WITHIN.as_secs()
        ))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the recipe is included by: everything that needs a place keeps it in the folder of the run.
fn main_file() -> String {
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary: String = kinds
        .iter()
        .map(|kind| format!("    {kind}_temp_path tmp_{kind};\n"))
        .collect();
    format!(
        "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log error.log warn;\n\
         events {{ worker_connections 512; }}\nhttp {{\n    access_log off;\n{temporary}    \
         include tapecast.conf;\n}}\n"
    )
}

/// Puts an address into the recipe; it must be there to be replaced.
fn fill(recipe: &str, there: &str, put: &str) -> Result<String, Failure> {
    if recipe.matches(there).count() != 1 {
        return Err(format!(
            "deploy/nginx.conf must have exactly one line {there:?}"
        ));
    }
    Ok(recipe.replace(there, put))
}
