//! A signature generator of the tests: records each request byte for byte and answers as it is told to.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

/// A request as the generator got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// `GET`, `POST`.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case, values, in their order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Asked {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What a generator does with a request: the bytes that it sends, and whether it closes then.
pub type Mood = dyn Fn(&Asked) -> Vec<u8> + Send + Sync;

/// A running generator. Its connections stay open between requests; what is framed wrongly makes the test fail.
pub struct Generator {
    /// Where it listens.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    mood: Arc<Mutex<Arc<Mood>>>,
    ended: Arc<AtomicBool>,
    /// What came that was no well-framed request.
    odd: Arc<Mutex<Vec<String>>>,
}

impl Generator {
    /// One whose answers work: for a connect as for a URL.
    pub fn good() -> Self {
        Self::with(good)
    }

    /// One that answers as `mood` says.
    pub fn with(mood: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let generator = Self {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
            mood: Arc::new(Mutex::new(Arc::new(mood))),
            ended: Arc::default(),
            odd: Arc::default(),
        };
        let (asked, odd) = (Arc::clone(&generator.asked), Arc::clone(&generator.odd));
        let (mood, ended) = (Arc::clone(&generator.mood), Arc::clone(&generator.ended));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ended.load(Ordering::Acquire) {
                    return;
                }
                let (asked, odd, mood) = (Arc::clone(&asked), Arc::clone(&odd), Arc::clone(&mood));
                std::thread::spawn(move || {
                    if let Err(why) = serve(stream, &asked, &mood) {
                        odd.lock().unwrap().push(why);
                    }
                });
            }
        });
        generator
    }

    /// Changes what it does from now on.
    pub fn set(&self, mood: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static) {
        *self.mood.lock().unwrap() = Arc::new(mood);
    }

    /// What it was asked, in order.
    pub fn asked(&self) -> Vec<Asked> {
        assert_eq!(*self.odd.lock().unwrap(), [] as [String; 0], "what came was not well framed");
        self.asked.lock().unwrap().clone()
    }

    /// What it was asked since the last call.
    pub fn take_asked(&self) -> Vec<Asked> {
        let asked = self.asked();
        self.asked.lock().unwrap().clear();
        asked
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // Wakes the accepting thread, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut stream: TcpStream, asked: &Mutex<Vec<Asked>>, mood: &Mutex<Arc<Mood>>) -> Result<(), String> {
    let mut bytes = Vec::new();
    let mut part = [0; 8192];
    loop {
        while let Some((request, length)) = parse(&bytes)? {
            bytes.drain(..length);
            asked.lock().unwrap().push(request.clone());
            let mood = Arc::clone(&mood.lock().unwrap());
            let answer = mood(&request);
            // An empty answer is a closed connection; so is one that says so.
            if answer.is_empty() || stream.write_all(&answer).is_err() {
                return Ok(());
            }
            let head = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(answer.len());
            if String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase().contains("connection: close") {
                return Ok(());
            }
        }
        match stream.read(&mut part) {
            Ok(0) if bytes.is_empty() => return Ok(()),
            Ok(0) => return Err(format!("cut within {:?}", String::from_utf8_lossy(&bytes))),
            Ok(length) => bytes.extend_from_slice(&part[..length]),
            Err(_) => return Ok(()),
        }
    }
}

/// Reads strictly what a generator should get from the gateway: HTTP/1.1, a Host, a body only with one plain length.
fn parse(bytes: &[u8]) -> Result<Option<(Asked, usize)>, String> {
    let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let odd = |why: &str| format!("{why}: {:?}", String::from_utf8_lossy(bytes));
    let text = std::str::from_utf8(&bytes[..head]).map_err(|_| odd("not UTF-8"))?;
    let mut lines = text.split("\r\n");
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method @ ("GET" | "POST"), target, "HTTP/1.1"] = words[..] else { return Err(odd("request line")) };
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(": ").ok_or_else(|| odd("header"))?;
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let count = |name: &str| headers.iter().filter(|(known, _)| known == name).count();
    if count("host") != 1
        || count("transfer-encoding") != 0
        || text.contains(['\r', '\n']) && text.contains("\n\n")
    {
        return Err(odd("framing"));
    }
    let length = match (method, count("content-length")) {
        ("GET", 0) => 0,
        ("POST", 1) => {
            let (_, value) = headers.iter().find(|(name, _)| name == "content-length").unwrap();
            value.parse::<usize>().map_err(|_| odd("length"))?
        }
        _ => return Err(odd("framing")),
    };
    let end = head + 4 + length;
    if bytes.len() < end {
        return Ok(None);
    }
    let (method, target, body) = (method.to_owned(), target.to_owned(), bytes[head + 4..end].to_vec());
    Ok(Some((Asked { method, target, headers, body }, end)))
}

/// Holds a generator's answers back until it is opened.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Lets all answers go, from now on.
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Waits until it is opened.
    pub fn pass(&self) {
        let held = self.0.1.wait_while(self.0.0.lock().unwrap(), |open| !*open);
        drop(held.unwrap());
    }
}

/// The smallest connect answer that the Python and the Node library both accept (`contract.md` section 3).
pub const CONNECT: &str = "1201633a060a0161120162521777733a2f2f3132372e302e302e313a32313030322f77735801";

/// Bytes of hexadecimal digits.
pub fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// An answer with a length.
pub fn answer(status: u16, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\n", body.len());
    for header in headers {
        answer.push_str(header);
        answer.push_str("\r\n");
    }
    answer.push_str("\r\n");
    let mut answer = answer.into_bytes();
    answer.extend_from_slice(body);
    answer
}

/// An answer that works, to whatever was asked.
pub fn good(asked: &Asked) -> Vec<u8> {
    let path = asked.target.split('?').next().unwrap_or_default();
    if path.contains("sign_url") {
        let url = if asked.method == "POST" {
            let body: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
            body["url"].as_str().unwrap().to_owned()
        } else {
            let query = asked.target.split_once('?').unwrap().1;
            let url = query.split('&').find_map(|pair| pair.strip_prefix("url=")).unwrap();
            percent_encoding::percent_decode_str(url).decode_utf8().unwrap().into_owned()
        };
        let gnarly = "M".repeat(332);
        let body = serde_json::json!({"code": 200, "response": {
            "signedUrl": format!("{url}&X-Bogus=DFSzswVLkKxANGP5CtmFF2lUrn1a&X-Gnarly={gnarly}&msToken=t"),
            "userAgent": "Mozilla/5.0", "tokens": {"X-Bogus": "DFSzswVLkKxANGP5CtmFF2lUrn1a"},
            "browserName": "Mozilla", "browserVersion": "5.0", "requestHeaders": {}, "cookies": [],
        }});
        return answer(200, &["Content-Type: application/json"], body.to_string().as_bytes());
    }
    if path.contains("room_id") || path.contains("chat") {
        return answer(
            200,
            &["Content-Type: application/json"],
            br#"{"code":200,"room_id":"7300000000000000001"}"#,
        );
    }
    // The room that was asked for; of a name always the same.
    let query = asked.target.split_once('?').unwrap_or_default().1;
    let in_query = url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, value)| ["room_id", "roomId"].contains(&&**name) && !value.is_empty());
    let in_path = path.split_once("/rooms/").and_then(|(_, rest)| rest.split('/').next());
    let room = in_path.or(in_query.as_ref().map(|(_, room)| &**room)).unwrap_or("7300000000000000001");
    answer(200, &["X-Set-TT-Cookie: ttwid=1", &format!("X-Room-Id: {room}")], &bytes_of(CONNECT))
}
