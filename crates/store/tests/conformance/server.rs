//! A PostgreSQL server of this process: in a folder of its own, reached over a socket in it, and gone with the process.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use tokio::time::Instant;

/// The server, and its keeper: a shell that waits for its input to end, as it does with this process.
pub struct Server {
    socket_folder: PathBuf,
    _keeper: Child,
}

/// The one server of this process.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

const SETTINGS: &str = "
fsync = off
listen_addresses = ''
shared_buffers = 16MB
max_connections = 60
autovacuum = off
";
const KEEPER: &str = r#"
"$@" & server=$!
read -r _
kill -QUIT $server
wait $server
rm -rf "$FOLDER"
"#;

impl Server {
    fn start() -> Self {
        let binaries = binaries();
        let folder = tempfile::tempdir().unwrap().keep();
        let account = account();
        if let Some((user, group)) = account {
            chown(&folder, Some(user), Some(group)).unwrap();
        }
        let data = folder.join("data");
        let made = as_account(account, &binaries.join("initdb"))
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .current_dir("/")
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut server = as_account(account, &binaries.join("postgres"));
        server.arg("-D").arg(&data).arg("-k").arg(&folder);
        // In the file, where a test may set them otherwise: the command line would have the last word.
        let mut file = fs::OpenOptions::new().append(true).open(data.join("postgresql.conf")).unwrap();
        file.write_all(SETTINGS.as_bytes()).unwrap();
        let log = fs::File::create(folder.join("log")).unwrap();
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .arg(server.get_program())
            .args(server.get_args())
            .env("FOLDER", &folder)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Self { socket_folder: folder, _keeper: keeper };
        let deadline = Instant::now() + Duration::from_secs(20);
        while !fs::read_to_string(data.join("postmaster.pid")).is_ok_and(|text| text.contains("ready")) {
            assert!(Instant::now() < deadline, "the server did not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        server
    }

    pub fn url(&self) -> String {
        let host = self.socket_folder.to_str().unwrap().replace('/', "%2F");
        format!("postgres://postgres@{host}/postgres")
    }

    /// What it has told so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.socket_folder.join("log")).unwrap()
    }

    /// Runs statements as the server's owner.
    pub fn run(&self, sql: &str) {
        self.ask(sql);
    }

    /// The same, and what they answer.
    pub fn ask(&self, sql: &str) -> String {
        let mut psql = Command::new(binaries().join("psql"))
            .args(["--quiet", "--no-psqlrc", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"])
            .args(["--username=postgres", "--host"])
            .arg(&self.socket_folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        psql.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
        let answered = psql.wait_with_output().unwrap();
        assert!(answered.status.success(), "{sql}");
        String::from_utf8(answered.stdout).unwrap().trim().to_owned()
    }
}

/// The newest that is installed.
fn binaries() -> PathBuf {
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = installed.map(|version| version.path()).max();
    newest.expect("PostgreSQL is missing: scripts/test --prepare installs it").join("bin")
}

/// The server refuses to run as root: who runs it in root's place.
fn account() -> Option<(u32, u32)> {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let line = |text: String| text.lines().find(|line| line.starts_with("postgres:")).map(str::to_owned);
    is_root.then(|| {
        let line = fs::read_to_string("/etc/passwd").ok().and_then(line).expect("there is no user postgres");
        let mut fields = line.split(':').skip(2).map(|field| field.parse().unwrap());
        (fields.next().unwrap(), fields.next().unwrap())
    })
}

fn as_account(account: Option<(u32, u32)>, program: &Path) -> Command {
    let Some((user, group)) = account else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command
        .args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".to_owned()])
        .arg(program);
    command
}
