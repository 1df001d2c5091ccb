//! A private PostgreSQL server, started from the installed programs and gone with the test run, however that ends.
use std::env;
use std::io::{BufRead, BufReader, Write, stderr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::thread::sleep;
use std::time::Duration;

use diesel::{Connection, PgConnection};

/// Starts the server in a folder of its own and tells the folder's name; the line `restart` on its input restarts the server, the line `kill`
/// kills all its processes at once and starts it again; the end of its input (our death in any manner) stops it and removes the folder.
const KEEPER: &str = r#"
set -e
dir=$(mktemp -d "${TMPDIR:-/tmp}/dmwsi-pg.XXXXXX")
finish() { [ -z "$pid" ] || { kill -INT "$pid" && wait "$pid"; } ; rm -rf "$dir"; }
trap finish EXIT
"$1/initdb" -D "$dir/data" -A trust -U dmwsi -E UTF8 --locale=C --no-sync > "$dir/initdb.log" 2>&1 || { cat "$dir/initdb.log" >&2; exit 1; }
start() {
    "$1/postgres" -D "$dir/data" -k "$dir" -h '' -c max_connections=300 -c fsync=on -c shared_buffers=32MB -c dynamic_shared_memory_type=mmap \
        < /dev/null > "$dir/server.log" 2>&1 3>&- &
    pid=$!
    # A signal that comes before the server listens to signals is lost: what the shell starts in the background ignores this one.
    tries=0
    until grep -q ready "$dir/data/postmaster.pid" 2> /dev/null || [ $tries -ge 300 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
}
start "$1"
echo "$dir"
while read -r order; do
    if [ "$order" = kill ]; then
        # A server that starts beside a process of the one before refuses to.
        all="$pid $(cat "/proc/$pid/task/$pid/children" 2> /dev/null || true)"
        kill -KILL $all || true
        wait "$pid" || true
        tries=0
        while kill -0 $all 2> /dev/null && [ $tries -lt 50 ]; do tries=$((tries + 1)); sleep 0.02; done
        rm -f "$dir/data/postmaster.pid"
    else
        kill -INT "$pid"
        wait "$pid" || true
    fi
    start "$1"
done
"#;

/// A running server.
pub(crate) struct Server {
    folder: PathBuf,
    orders: Mutex<ChildStdin>,
    _keeper: Child,
}

impl Server {
    /// The server of this test run, started when first asked for. None where PostgreSQL is not installed, which is said aloud; with
    /// `DMWSI_TEST_POSTGRES=required` that is a failure.
    pub(crate) fn shared() -> Option<&'static Self> {
        static SERVER: OnceLock<Option<Server>> = OnceLock::new();
        SERVER.get_or_init(Self::start).as_ref()
    }

    /// A server of the caller's own.
    pub(crate) fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(
                env::var("DMWSI_TEST_POSTGRES").as_deref() != Ok("required"),
                "PostgreSQL is required, but initdb and postgres are not installed"
            );
            // Not by the macro: what a passing test prints is swallowed.
            stderr().write_all(b"\n*** PostgreSQL is not installed: its tests are SKIPPED ***\n\n").unwrap();
            return None;
        };
        let mut keeper = unprivileged()
            .args(["sh", "-c", KEEPER, "sh"])
            .arg(&programs)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A key that interrupts the tests must not reach the server before its keeper.
            .process_group(0)
            .spawn()
            .unwrap();
        let mut folder = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut folder).unwrap();
        assert!(!folder.is_empty(), "PostgreSQL from {} did not start", programs.display());
        let server = Self { folder: folder.trim().into(), orders: Mutex::new(keeper.stdin.take().unwrap()), _keeper: keeper };
        server.wait();
        Some(server)
    }

    /// The address of one of its databases.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://dmwsi@/{database}?host={}", self.folder.display().to_string().replace('/', "%2F"))
    }

    /// A connection to one of its databases.
    pub(crate) fn connect(&self, database: &str) -> PgConnection {
        PgConnection::establish(&self.url(database)).unwrap()
    }

    /// Stops it, breaking every connection, and starts it again.
    pub(crate) fn restart(&self) {
        self.orders.lock().unwrap().write_all(b"restart\n").unwrap();
        sleep(Duration::from_millis(200));
        self.wait();
    }

    /// `kill -9` of all its processes; it is then started again and recovers.
    pub(crate) fn kill(&self) {
        self.orders.lock().unwrap().write_all(b"kill\n").unwrap();
        sleep(Duration::from_millis(200));
        self.wait();
    }

    fn wait(&self) {
        for _ in 0..600 {
            if PgConnection::establish(&self.url("postgres")).is_ok() {
                return;
            }
            sleep(Duration::from_millis(50));
        }
        panic!("PostgreSQL does not answer: {}", std::fs::read_to_string(self.folder.join("server.log")).unwrap_or_default());
    }
}

/// A folder with both programs.
fn programs() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    if let Ok(told) = Command::new("pg_config").arg("--bindir").output() {
        folders.push(String::from_utf8_lossy(&told.stdout).trim().into());
    }
    let mut installed: Vec<PathBuf> = Path::new("/usr/lib/postgresql")
        .read_dir()
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    installed.sort();
    folders.extend(installed.into_iter().rev());
    folders.into_iter().find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}

/// What runs a program as somebody else where we are root, which initdb refuses to be.
fn unprivileged() -> Command {
    if said("id", &["-u"]).as_deref() != Some("0") {
        return Command::new("env");
    }
    let user =
        ["postgres", "nobody"].into_iter().find(|user| said("id", &["-u", user]).is_some()).expect("a user to run PostgreSQL as");
    if said("setpriv", &["--version"]).is_some() {
        let (uid, gid) = (said("id", &["-u", user]).unwrap(), said("id", &["-g", user]).unwrap());
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &uid, "--regid", &gid, "--clear-groups"]);
        command
    } else {
        let mut command = Command::new("runuser");
        command.args(["-u", user, "--"]);
        command
    }
}

fn said(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
