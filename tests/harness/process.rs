//! The built command as a process of its own, so that it can be killed.
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::Database;

/// `dmwsi serve` on a port of its own; killed when dropped.
pub(crate) struct Process {
    pub(crate) child: Child,
    /// What it has said so far.
    log: Arc<Mutex<String>>,
    _folder: tempfile::TempDir,
    pub(crate) base: String,
}

impl Process {
    /// Starts it on a database that has its schema, with the keys of that text, and waits until it serves.
    pub(crate) fn serve(database: &Database, keys: &str) -> Self {
        Self::serve_as(database, keys, "all", &[])
    }

    /// The same in a role, with more settings in its environment.
    pub(crate) fn serve_as(database: &Database, keys: &str, role: &str, environment: &[(&str, &str)]) -> Self {
        Self::try_serve_as(database, keys, role, environment).unwrap_or_else(|said| panic!("it did not start: {said}"))
    }

    /// The same where it may not start, its database being away; what it said then.
    pub(crate) fn try_serve_as(
        database: &Database,
        keys: &str,
        role: &str,
        environment: &[(&str, &str)],
    ) -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_dmwsi"))
            .current_dir(folder.path())
            .args(["serve", "--role", role, "--database", &database.address()])
            .env("DMWSI_KEYS", keys)
            .env("DMWSI__PUBLIC_URL", "http://127.0.0.1:0")
            .env("DMWSI__LISTEN__ADDRESS", "127.0.0.1:0")
            .env("DMWSI__LISTEN__THREADS", "1")
            .env("DMWSI__LOG__FORMAT", "json")
            .env("DMWSI__STORE__POOL_SIZE", "8")
            .env("DMWSI__EGRESS__ALLOW", "[\"127.0.0.0/8\"]")
            .env("DMWSI__CONTENT__FOLDER", database.content())
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let start = said.len();
            if log.read_line(&mut said).unwrap() == 0 {
                child.wait().unwrap();
                return Err(said);
            }
            let line: Value = serde_json::from_str(&said[start..]).unwrap_or_default();
            if line["fields"]["message"] == "serving" {
                break line["fields"]["address"].as_str().unwrap().to_owned();
            }
        };
        // Somebody must read on, or the process stops when the pipe is full.
        let said = Arc::new(Mutex::new(said));
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                let mut heard = heard.lock().unwrap();
                heard.push_str(&line);
                heard.push('\n');
            }
        });
        Ok(Self { child, log: said, _folder: folder, base: format!("http://{address}") })
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What became of the process may be why the test failed.
            println!("{} ended: {:?}; it said:\n{}", self.base, self.child.try_wait(), self.log.lock().unwrap());
        }
        // Where it is dead already there is nothing to do.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
