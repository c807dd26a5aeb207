//! The whole gateway as a process of its own, and the plain clients that ask it.
//!
//! Every test starts its own, with its own directory and on ports that the system picks; it ends with the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

/// Nothing that a test waits for takes longer, unless it is broken.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A policy that admits everybody and signs what is usually signed.
pub const OPEN: &str = r#"
format = 1
[tier.anonymous]
class = "none"
[tier.community]
class = "free"
[[account]]
id = "overlay-suite"
tier = "community"
[[target]]
hosts = ["webcast.tiktok.com"]
paths = ["/webcast/*"]
"#;

/// What a gateway is started with.
#[derive(Default)]
pub struct Setup {
    policies: Vec<(String, String)>,
    files: Vec<(String, String)>,
    config: String,
    listen: Option<String>,
    flags: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Setup {
    /// With one policy file.
    pub fn new(policy: &str) -> Self {
        Self { policies: vec![("10-test.toml".into(), policy.into())], ..Self::default() }
    }

    /// With one more policy file (or feed).
    pub fn policy(mut self, name: &str, text: &str) -> Self {
        self.policies.push((name.into(), text.into()));
        self
    }

    /// Listening there for clients, and not on 127.0.0.1.
    pub fn listen(mut self, address: &str) -> Self {
        self.listen = Some(address.into());
        self
    }

    /// Adds lines to `signgate.toml`.
    pub fn config(mut self, text: &str) -> Self {
        self.config.push_str(text);
        self.config.push('\n');
        self
    }

    /// With a file beside `signgate.toml`: a key of a generator, certificates.
    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.into(), text.into()));
        self
    }

    /// With a variable in its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// With a generator that speaks the sign API.
    pub fn generator(self, address: SocketAddr) -> Self {
        self.flag("--generator").flag(&format!("euler=http://{address}"))
    }

    /// With a flag.
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// Starts it and waits until it says that it is ready.
    pub fn start(self) -> Gateway {
        match self.try_start() {
            Ok(gateway) => gateway,
            Err((status, said)) => panic!("the gateway ended with {status:?}:\n{said}"),
        }
    }

    /// Starts it; where it ends instead of getting ready: how, and what it said.
    pub fn try_start(self) -> Result<Gateway, (ExitStatus, String)> {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for (name, text) in &self.policies {
            let path = at("policies").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        for (name, text) in &self.files {
            std::fs::write(at(name), text).unwrap();
        }
        std::fs::write(at("signgate.toml"), &self.config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_signgate"));
        command.current_dir(directory.path()).args(["serve", "--config", "signgate.toml"]);
        command.args([
            "--listen",
            self.listen.as_deref().unwrap_or("127.0.0.1:0"),
            "--admin",
            "127.0.0.1:0",
            "--policies",
            "policies",
            "--store",
            "none",
        ]);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.args(&self.flags);
        listening(command, directory)
    }
}

/// Runs a command that serves until it says that it is ready, in that directory's care; where it ends instead, or says
/// nothing for too long: how, and what it said.
pub fn listening(mut command: Command, directory: TempDir) -> Result<Gateway, (ExitStatus, String)> {
    {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (sender, ready) = mpsc::channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let heard = Arc::clone(&said);
        let listening = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut said = heard.lock().unwrap();
                said.push_str(&line);
                said.push('\n');
                if line.contains("ready: listening on") {
                    let _ = sender.send(line);
                }
            }
        });
        let Ok(line) = ready.recv_timeout(PATIENCE) else {
            let _ = child.kill();
            let status = child.wait().unwrap();
            listening.join().unwrap();
            return Err((status, said.lock().unwrap().clone()));
        };
        let address = |after: &str| {
            let rest = line.split(after).nth(1).unwrap_or_else(|| panic!("{line}"));
            rest.split([',', ' ']).next().unwrap().parse().unwrap()
        };
        let (public, admin) = (address("listening on http://"), address("admin on http://"));
        Ok(Gateway { child, directory, public, admin, said, listening: Some(listening) })
    }
}

/// A running gateway.
pub struct Gateway {
    child: Child,
    directory: TempDir,
    /// Where clients come in.
    pub public: SocketAddr,
    /// Where the operator comes in.
    pub admin: SocketAddr,
    said: Arc<Mutex<String>>,
    listening: Option<std::thread::JoinHandle<()>>,
}

impl Gateway {
    /// Its working directory: `policies/`, `data/access.jsonl`.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its policy directory.
    pub fn policies(&self) -> PathBuf {
        self.directory.path().join("policies")
    }

    /// What it said on stderr so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// A connection to the public listener.
    pub fn connect(&self) -> TcpStream {
        connect(self.public)
    }

    /// A connection to the public listener from another address of the loopback network.
    pub fn connect_from(&self, source: &str) -> TcpStream {
        connect_from(source.parse().unwrap(), self.public)
    }

    /// Sends `bytes` on a connection of its own, then no more, and reads all answers until the gateway closes.
    pub fn raw(&self, bytes: &[u8]) -> Vec<Answer> {
        Answer::all_of(&send(self.connect(), bytes))
    }

    /// Asks once: `GET`, with headers as lines.
    pub fn get(&self, target: &str, headers: &[&str]) -> Answer {
        self.ask("GET", target, headers, None)
    }

    /// Asks once: `POST` of JSON.
    pub fn post(&self, target: &str, headers: &[&str], body: &str) -> Answer {
        self.ask("POST", target, headers, Some(body))
    }

    /// Asks once.
    pub fn ask(&self, method: &str, target: &str, headers: &[&str], body: Option<&str>) -> Answer {
        ask(self.public, method, target, headers, body)
    }

    /// A client whose connection stays open.
    pub fn client(&self) -> Client {
        Client { stream: self.connect() }
    }

    /// The page that says whether it serves, and with what.
    pub fn readyz(&self) -> Answer {
        ask(self.admin, "GET", "/readyz", &[], None)
    }

    /// The metrics page.
    pub fn metrics(&self) -> String {
        ask(self.admin, "GET", "/metrics", &[], None).text()
    }

    /// One series of the metrics page, by its name and labels as the page writes them; 0 where it is missing.
    pub fn metric(&self, series: &str) -> f64 {
        let page = self.metrics();
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// How often each of these generators was the first that was asked for a request, once `all` such are counted: one that
    /// takes long may be asked of another as well, on account of a machine that is busy.
    pub fn first_asked<const N: usize>(&self, names: [&str; N], all: i64) -> [i64; N] {
        let mut counted = [0; N];
        self.wait_until("the count of who was asked", |gateway| {
            let first = |name: &str| {
                format!("signgate_generator_attempts_total{{cause=\"first\",generator=\"{name}\"}}")
            };
            counted = names.map(|name| gateway.metric(&first(name)) as i64);
            counted.iter().sum::<i64>() >= all
        });
        counted
    }

    /// Sends it a signal by its name: `HUP`, `TERM`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let done = Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap();
        assert!(done.success());
    }

    /// Waits until `holds`; panics with `what` where it never does.
    pub fn wait_until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(tokio::time::Instant::now() < deadline, "{what} did not come:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops it gracefully; what is left of it.
    pub fn stop(self) -> Stopped {
        self.signal("TERM");
        self.wait_for_end()
    }

    /// What is left of it once it has ended, which it was told to.
    pub fn wait_for_end(mut self) -> Stopped {
        let status = self.child.wait().unwrap();
        if let Some(listening) = self.listening.take() {
            listening.join().unwrap();
        }
        let record =
            std::fs::read_to_string(self.directory.path().join("data/access.jsonl")).unwrap_or_default();
        Stopped { status, said: self.said(), record }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a gateway leaves behind.
pub struct Stopped {
    /// How it ended.
    pub status: ExitStatus,
    /// All that it said on stderr.
    pub said: String,
    /// The access record, as text.
    pub record: String,
}

impl Stopped {
    /// The requests of the access record, in the order of their decisions: each worker writes its own.
    pub fn records(&self) -> Vec<Value> {
        let read = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let mut records: Vec<Value> = self.record.lines().map(read).collect();
        records.retain(|record| record["event"] != "start");
        records.sort_by_key(|record| (record["time"].as_u64(), record["seq"].as_u64()));
        records
    }
}

/// A connection that does not hang a test for ever.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// The same from a source address of one's own choosing.
pub fn connect_from(source: IpAddr, address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
    socket.connect_timeout(&address.into(), PATIENCE).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends `bytes`, then no more, and gives all that comes back until the other side closes.
pub fn send(mut stream: TcpStream, bytes: &[u8]) -> Vec<u8> {
    let mut writer = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        // Beside the reading: neither side could go on if both wrote much and read nothing.
        scope.spawn(move || {
            // A gateway that has answered and closed may refuse the rest: what it answered is what counts.
            let _ = writer.write_all(bytes);
            let _ = writer.shutdown(Shutdown::Write);
        });
        read_to_end(&mut stream)
    })
}

/// Reads until the other side closes.
fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut part = [0; 8192];
    loop {
        match stream.read(&mut part) {
            Ok(0) => return bytes,
            Ok(length) => bytes.extend_from_slice(&part[..length]),
            // A reset after an answer is an end, too.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return bytes,
            Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&bytes)),
        }
    }
}

/// A client whose connection stays open; where the gateway closes it, the test fails.
pub struct Client {
    stream: TcpStream,
}

impl Client {
    /// Asks and reads the answer.
    pub fn ask(&mut self, method: &str, target: &str, headers: &[&str], body: Option<&str>) -> Answer {
        self.stream.write_all(&request(method, target, headers, body)).unwrap();
        Answer::read_one(&mut self.stream)
    }

    /// `GET`, with headers as lines.
    pub fn get(&mut self, target: &str, headers: &[&str]) -> Answer {
        self.ask("GET", target, headers, None)
    }
}

/// A request's bytes; a body is JSON unless a header says something else.
pub fn request(method: &str, target: &str, headers: &[&str], body: Option<&str>) -> Vec<u8> {
    let mut request = format!("{method} {target} HTTP/1.1\r\nHost: gateway.example\r\n");
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    if let Some(body) = body {
        if !headers.iter().any(|header| header.to_ascii_lowercase().starts_with("content-type:")) {
            request.push_str("Content-Type: application/json\r\n");
        }
        request.push_str("Content-Length: ");
        request.push_str(&body.len().to_string());
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    request.push_str(body.unwrap_or_default());
    request.into_bytes()
}

/// Asks any HTTP server once, on a connection of its own.
pub fn ask(address: SocketAddr, method: &str, target: &str, headers: &[&str], body: Option<&str>) -> Answer {
    let headers = [&["Connection: close"], headers].concat();
    let mut stream = connect(address);
    // A gateway that refuses early may close before it has all.
    let _ = stream.write_all(&request(method, target, &headers, body));
    let mut answers = Answer::read_all(&mut stream);
    assert_eq!(answers.len(), 1, "{method} {target}: {answers:?}");
    answers.remove(0)
}

/// An answer as it came.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Names in lower case, values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A header's value as a number.
    pub fn number(&self, name: &str) -> u64 {
        let value = self.header(name).unwrap_or_else(|| panic!("no {name}: {self:?}"));
        value.parse().unwrap_or_else(|_| panic!("{name}: {value}"))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts that it is a refusal as every refusal has to be, and gives its body.
    #[track_caller]
    pub fn refusal(&self, status: u16, label: &str) -> Value {
        let body = self.json();
        assert_eq!((self.status, body["limit_label"].as_str()), (status, Some(label)), "{body}");
        assert_eq!(body["code"], status, "{body}");
        assert!(body["message"].as_str().is_some_and(|message| message.len() >= 19), "{body}");
        assert_eq!(body["error"], body["message"]);
        assert_eq!(body["request_id"].as_str(), self.header("x-request-id"), "{body}");
        body
    }

    /// Asserts that it ends the connection with a refusal of the gateway itself.
    #[track_caller]
    pub fn rejection(&self, status: u16, label: &str) -> Value {
        assert!(self.closes(), "{self:?}");
        self.refusal(status, label)
    }

    /// Whether it says that the connection ends with it.
    pub fn closes(&self) -> bool {
        self.header("connection") == Some("close")
    }

    /// Reads answers until the other side closes.
    pub fn read_all(stream: &mut TcpStream) -> Vec<Self> {
        Self::all_of(&read_to_end(stream))
    }

    /// All answers in `bytes`.
    #[track_caller]
    pub fn all_of(bytes: &[u8]) -> Vec<Self> {
        let mut rest = bytes;
        let mut answers = Vec::new();
        while !rest.is_empty() {
            let (answer, length) =
                Self::parse(rest).unwrap_or_else(|| panic!("{:?}", String::from_utf8_lossy(rest)));
            rest = &rest[length..];
            // `100 Continue` is no answer.
            if answer.status >= 200 {
                answers.push(answer);
            }
        }
        answers
    }

    /// Reads one answer of a connection that stays open.
    pub fn read_one(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        let mut part = [0; 8192];
        loop {
            if let Some((answer, length)) = Self::parse(&bytes) {
                assert_eq!(length, bytes.len(), "more than one answer");
                return answer;
            }
            let length = stream.read(&mut part).unwrap();
            assert!(length > 0, "closed after {:?}", String::from_utf8_lossy(&bytes));
            bytes.extend_from_slice(&part[..length]);
        }
    }

    /// The first answer in `bytes` and its length, once it is whole. A body without a length ends with the connection.
    fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let text = std::str::from_utf8(&bytes[..head]).unwrap();
        let mut lines = text.trim_end().split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(':').unwrap_or_else(|| panic!("{line}")))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let length = headers
            .iter()
            .find(|(name, _)| name == "content-length")
            .map(|(_, value)| value.parse().unwrap());
        let length: usize = match length {
            Some(length) => length,
            None if status < 200 || status == 204 => 0,
            None => bytes.len() - head,
        };
        let body = bytes.get(head..head + length)?.to_vec();
        Some((Self { status, headers, body }, head + length))
    }
}
