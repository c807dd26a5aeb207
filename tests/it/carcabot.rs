//! carcabot's `tiktok-signature` behind a whole gateway: a server that follows `contract.md` section 6 to the letter, with its
//! one queue, its errors, its restarts, and the control paths that nobody may reach.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::gateway::{Gateway, OPEN, Setup, request};
use crate::generator::{Asked, Gate, Generator, answer};
use crate::generators::{CONNECT_TARGET, left, limited};

const URL: &str = "https://webcast.tiktok.com/webcast/im/fetch/?room_id=7300000000000000001";
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64)";
const BOGUS: &str = "DFSzswVLkKxANGP5CtmFF2lUrn1a";

/// What it is about to do with the next signatures.
#[derive(Clone, Copy, PartialEq)]
enum Course {
    Signs,
    /// As when its page times out.
    Fails,
    /// As when there is no URL in what it is sent.
    Blames,
}

/// One browser and its queue.
struct Browser {
    /// Held by the request that is being signed.
    page: Mutex<()>,
    waiting: AtomicU32,
    waiting_max: AtomicU32,
    /// What others than the gateway have sent it, and waits.
    of_others: AtomicU32,
    ready: AtomicBool,
    course: Mutex<Course>,
    signing: Mutex<Gate>,
}

impl Browser {
    fn start() -> (Arc<Self>, Generator) {
        let open = Gate::default();
        open.open();
        let browser = Arc::new(Self {
            page: Mutex::default(),
            waiting: AtomicU32::new(0),
            waiting_max: AtomicU32::new(0),
            of_others: AtomicU32::new(0),
            ready: AtomicBool::new(true),
            course: Mutex::new(Course::Signs),
            signing: Mutex::new(open),
        });
        let serving = Arc::clone(&browser);
        (browser, Generator::with(move |asked| serving.answer(asked)))
    }

    fn answer(&self, asked: &Asked) -> Vec<u8> {
        let json = |status, body: Value| {
            answer(status, &["Content-Type: application/json"], body.to_string().as_bytes())
        };
        match (asked.method.as_str(), asked.target.as_str()) {
            ("POST", "/signature") => {
                let waiting = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
                self.waiting_max.fetch_max(waiting, Ordering::SeqCst);
                let page = self.page.lock().unwrap();
                self.signing.lock().unwrap().clone().pass();
                let (status, body) = self.sign(&asked.body);
                drop(page);
                self.waiting.fetch_sub(1, Ordering::SeqCst);
                json(status, body)
            }
            ("GET", "/health") => {
                let waiting = self.waiting.load(Ordering::SeqCst).saturating_sub(1)
                    + self.of_others.load(Ordering::SeqCst);
                json(
                    200,
                    json!({"status": "ok", "ready": self.ready.load(Ordering::SeqCst), "initializing": false,
                        "generationCount": 7, "queueLength": waiting}),
                )
            }
            (_, "/restart") => json(200, json!({"status": "ok", "message": "Browser restarted"})),
            ("POST", "/fetch") => json(200, json!({"status": "ok", "httpStatus": 200, "data": {}})),
            _ => json(404, json!({"error": "Not found"})),
        }
    }

    fn sign(&self, body: &[u8]) -> (u16, Value) {
        let wanted: Value = serde_json::from_slice(body).unwrap();
        match (*self.course.lock().unwrap(), wanted["url"].as_str()) {
            (Course::Signs, Some(url)) => {
                let gnarly = "g".repeat(332);
                let signed = format!("{url}&msToken=t&X-Bogus={BOGUS}&X-Gnarly={gnarly}");
                let data = json!({"signed_url": signed, "x-bogus": BOGUS, "x-gnarly": gnarly, "device-id": null,
                    "cookies": "ttwid=1; odin=2", "navigator": {"user_agent": BROWSER}});
                (200, json!({"status": "ok", "data": data}))
            }
            (Course::Fails, _) => (500, json!({"status": "error", "message": "Timeout at tokyo-rack-17"})),
            _ => (400, json!({"status": "error", "message": "URL is required, says tokyo-rack-17"})),
        }
    }
}

fn gateway(policy: &str, generators: &[&Generator]) -> Gateway {
    let flag = |setup: Setup, generator: &&Generator| {
        setup.flag("--generator").flag(&format!("carcabot=http://{}", generator.address))
    };
    generators.iter().fold(Setup::new(policy), flag).start()
}

fn wanted() -> String {
    json!({"url": URL, "method": "GET", "userAgent": "Mozilla/5.0 (asked)"}).to_string()
}

fn signatures(generator: &Generator) -> Vec<Value> {
    let bodies = generator.asked().into_iter().filter(|asked| asked.target == "/signature");
    bodies.map(|asked| serde_json::from_slice(&asked.body).unwrap()).collect()
}

#[test]
fn a_url_is_signed_in_the_words_of_every_generation() {
    let (_browser, generator) = Browser::start();
    let gateway = gateway(OPEN, &[&generator]);
    for path in ["/webcast/sign_url", "/tiktok/sign_url", "/tiktok/signing/encrypt/sign_url"] {
        let signed = gateway.post(path, &["X-Api-Key: a-client-has-none"], &wanted());
        assert_eq!(signed.status, 401, "an unknown key stays one");
        let signed = gateway.post(path, &["x-cookie-header: sessionid=hunter2"], &wanted());
        assert_eq!(signed.status, 200, "{path}: {signed:?}");
        let told = signed.json();
        let response = &told["response"];
        assert_eq!(told["code"], 200);
        assert!(
            response["signedUrl"].as_str().unwrap().starts_with(&format!("{URL}&msToken=t&X-Bogus={BOGUS}"))
        );
        assert_eq!(response["userAgent"], BROWSER, "the browser's own, which the signature is for");
        assert_eq!(response["tokens"]["X-Bogus"], BOGUS);
        assert_eq!(response["tokens"]["X-Gnarly"].as_str().unwrap().len(), 332);
        assert_eq!(response["tokens"]["msToken"], "t");
        assert_eq!(
            response["cookies"],
            json!([{"name": "ttwid", "value": "1"}, {"name": "odin", "value": "2"}])
        );
        assert_eq!(signed.header("x-agent-id"), Some("carcabot"));
    }
    let zero = format!("/webcast/sign_url?url={}", URL.replace(':', "%3A").replace('?', "%3F"));
    let flat = gateway.get(&zero, &["User-Agent: Mozilla/5.0 (asked)"]).json();
    assert!(flat["signedUrl"].as_str().unwrap().contains(BOGUS), "{flat}");
    assert_eq!((&flat["User-Agent"], &flat["msToken"]), (&json!(BROWSER), &json!("t")));
    let asked = signatures(&generator);
    assert_eq!(asked.len(), 4);
    for body in &asked[..3] {
        assert_eq!(
            *body,
            json!({"url": URL, "userAgent": "Mozilla/5.0 (asked)"}),
            "url and user agent, nothing else"
        );
    }
    let knows_the_session = |asked: &Asked| format!("{asked:?}").contains("hunter2");
    assert!(!generator.asked().iter().any(knows_the_session), "a session is nothing to a signer of URLs");
}

#[test]
fn a_session_in_the_url_is_kept_back_from_it_where_the_policy_says_so() {
    let (_browser, generator) = Browser::start();
    let gateway = gateway(&format!("{OPEN}\n[sessions]\nmode = \"strip\"\n"), &[&generator]);
    let with_session = json!({"url": format!("{URL}&session_id=hunter2&aid=1988")});
    let signed = gateway.post("/tiktok/sign_url", &[], &with_session.to_string());
    assert_eq!(signed.status, 200, "{signed:?}");
    assert_eq!(signatures(&generator)[0]["url"], format!("{URL}&aid=1988"));
}

#[test]
fn what_it_cannot_do_it_is_not_asked() {
    let (_browser, generator) = Browser::start();
    let gateway = gateway(&limited(5), &[&generator]);
    for target in [CONNECT_TARGET, "/webcast/room_id?uniqueId=somebody"] {
        let refused = gateway.get(target, &[]);
        refused.refusal(503, "no_generator");
    }
    assert_eq!(left(&gateway), 5, "nobody pays for what nobody can do");
    assert_eq!(signatures(&generator).len(), 0);
    assert_eq!(gateway.post("/tiktok/sign_url", &[], &wanted()).status, 200);
    let said = gateway.stop();
    assert_eq!(said.records()[0]["outcome"], "no-capacity");
}

#[test]
fn its_errors_are_the_generators_and_tell_nothing() {
    let (browser, generator) = Browser::start();
    let gateway = gateway(&limited(5), &[&generator]);
    for (course, status, label) in
        [(Course::Fails, 502, "generator_failed"), (Course::Blames, 400, "bad_request")]
    {
        *browser.course.lock().unwrap() = course;
        let refused = gateway.post("/tiktok/sign_url", &[], &wanted());
        refused.refusal(status, label);
        assert!(!refused.text().contains("tokyo"), "{refused:?}");
    }
    assert_eq!(left(&gateway), 4, "what it fails at is given back, what the request is blamed for is not");
    *browser.course.lock().unwrap() = Course::Signs;
    assert_eq!(gateway.post("/tiktok/sign_url", &[], &wanted()).status, 200);
}

#[test]
fn it_has_one_request_at_a_time() {
    let (browser, generator) = Browser::start();
    let gate = Gate::default();
    *browser.signing.lock().unwrap() = gate.clone();
    let gateway = gateway(OPEN, &[&generator]);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let asking: Vec<_> =
            (0..6).map(|_| scope.spawn(|| gateway.post("/tiktok/sign_url", &[], &wanted()).status)).collect();
        gateway.wait_until("the first request", |_| browser.waiting.load(Ordering::SeqCst) > 0);
        gate.open();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    assert!(
        statuses.contains(&200) && statuses.iter().all(|status| [200, 503].contains(status)),
        "{statuses:?}"
    );
    assert_eq!(
        browser.waiting_max.load(Ordering::SeqCst),
        1,
        "the rest waits here, where it can be taken back"
    );
}

/// A client that asks and does not stay for its answer.
fn asks_only(gateway: &Gateway) -> TcpStream {
    let mut stream = gateway.connect();
    let asked = request("POST", "/tiktok/sign_url", &["Content-Type: application/json"], Some(&wanted()));
    stream.write_all(&asked).unwrap();
    stream
}

/// A gateway whose browser has begun with the request of a client, and is held there; and the client.
fn working(config: impl Fn(&Generator) -> String) -> (Arc<Browser>, Generator, Gate, Gateway, TcpStream) {
    let (browser, generator) = Browser::start();
    let gate = Gate::default();
    *browser.signing.lock().unwrap() = gate.clone();
    let gateway = Setup::new(OPEN).config(&config(&generator)).start();
    let client = asks_only(&gateway);
    gateway.wait_until("the first request", |_| browser.waiting.load(Ordering::SeqCst) > 0);
    (browser, generator, gate, gateway, client)
}

fn table(generator: &Generator) -> String {
    format!(
        "[[generator]]\nname = \"browser\"\nkind = \"carcabot\"\nurl = \"http://{}\"\n",
        generator.address
    )
}

/// Asks once more, and lets the browser go on when it is seen where that waits.
fn one_more(browser: &Browser, gate: &Gate, gateway: &Gateway) {
    std::thread::scope(|scope| {
        let more = scope.spawn(|| gateway.post("/tiktok/sign_url", &[], &wanted()).status);
        gateway.wait_until("a request that waits", |gateway| {
            gateway.metric("signgate_queue_depth") > 0.5 || browser.waiting.load(Ordering::SeqCst) > 1
        });
        gate.open();
        assert_eq!(more.join().unwrap(), 200);
    });
    assert_eq!(browser.waiting_max.load(Ordering::SeqCst), 1);
}

#[test]
fn it_has_one_request_at_a_time_also_when_clients_hang_up() {
    let (browser, generator, gate, gateway, client) = working(table);
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    let gone = "signgate_outcomes_total{operation=\"sign-url\",outcome=\"client-gone\"}";
    gateway.wait_until("a client that is gone", |gateway| gateway.metric(gone) > 0.5);
    one_more(&browser, &gate, &gateway);
    assert_eq!(signatures(&generator).len(), 2, "what was begun is finished");
}

#[test]
fn it_has_one_request_at_a_time_also_when_its_settings_change() {
    let (browser, generator, gate, gateway, client) = working(table);
    let changed = format!("{}weight = 2\n", table(&generator));
    std::fs::write(gateway.directory().join("signgate.toml"), changed).unwrap();
    gateway.signal("HUP");
    gateway
        .wait_until("the new settings", |gateway| gateway.said().contains("is replaced by its new settings"));
    one_more(&browser, &gate, &gateway);
    drop(client);
}

fn looked_at(generator: &Generator) -> usize {
    generator.asked().iter().filter(|asked| asked.target == "/health").count()
}

#[test]
fn while_it_restarts_another_is_asked() {
    let (restarting, first) = Browser::start();
    let (_other, second) = Browser::start();
    restarting.ready.store(false, Ordering::SeqCst);
    let gateway = gateway(OPEN, &[&first, &second]);
    // With the second look the first has been heard.
    gateway.wait_until("two looks at its health", |_| looked_at(&first) >= 2);
    for _ in 0..12 {
        assert_eq!(gateway.post("/tiktok/sign_url", &[], &wanted()).status, 200);
    }
    assert_eq!((signatures(&first).len(), signatures(&second).len()), (0, 12));
    restarting.ready.store(true, Ordering::SeqCst);
    let looks = looked_at(&first);
    gateway.wait_until("two more", |_| looked_at(&first) >= looks + 2);
    gateway.wait_until("a signature of the first", |gateway| {
        assert_eq!(gateway.post("/tiktok/sign_url", &[], &wanted()).status, 200);
        !signatures(&first).is_empty()
    });
}

#[test]
fn alone_it_is_asked_even_while_it_says_that_it_is_not_ready() {
    // It starts its browser only with the first request.
    let (browser, generator) = Browser::start();
    browser.ready.store(false, Ordering::SeqCst);
    let gateway = gateway(OPEN, &[&generator]);
    gateway.wait_until("two looks at its health", |_| looked_at(&generator) >= 2);
    assert_eq!(gateway.post("/tiktok/sign_url", &[], &wanted()).status, 200);
}

/// A gateway with two, the first of which has work of others.
fn two_of_weights(browsers: [&Generator; 2], weight: u32) -> Gateway {
    let table = |(name, generator, weight): (&str, &Generator, u32)| {
        table(generator).replace("browser", name) + &format!("weight = {weight}\n")
    };
    let tables = [("shared", browsers[0], weight), ("ours", browsers[1], 1)].map(table).concat();
    Setup::new(OPEN).config(&tables).start()
}

fn has_been_heard(gateway: &Gateway, generator: &Generator) {
    let looks = looked_at(generator);
    // With the second look from now on the first has been heard.
    gateway.wait_until("two looks at its health", |_| looked_at(generator) >= looks + 2);
}

fn sign(gateway: &Gateway, times: usize) {
    for _ in 0..times {
        assert_eq!(gateway.post("/tiktok/sign_url", &[], &wanted()).status, 200);
    }
}

#[test]
fn what_waits_at_it_for_others_counts_as_work_that_it_has() {
    let (shared, first) = Browser::start();
    let (_ours, second) = Browser::start();
    shared.of_others.store(5, Ordering::SeqCst);
    let gateway = two_of_weights([&first, &second], 1);
    has_been_heard(&gateway, &first);
    sign(&gateway, 12);
    assert_eq!(gateway.first_asked(["shared", "ours"], 12), [0, 12]);
}

/// However fast it is otherwise: the last in its queue would wait for two seconds.
#[test]
fn one_with_a_long_queue_is_not_asked_where_another_can_be() {
    let (shared, first) = Browser::start();
    let (_ours, second) = Browser::start();
    let gateway = two_of_weights([&first, &second], 1_000);
    // Both have been measured: one that was not gets a request at once.
    sign(&gateway, 2);
    let measured = gateway.first_asked(["shared", "ours"], 2);
    assert_eq!(measured, [1, 1]);
    shared.of_others.store(5, Ordering::SeqCst);
    has_been_heard(&gateway, &first);
    sign(&gateway, 12);
    assert_eq!(
        gateway.first_asked(["shared", "ours"], 14),
        [13, 1],
        "half a second is little beside its weight"
    );
    shared.of_others.store(30, Ordering::SeqCst);
    has_been_heard(&gateway, &first);
    sign(&gateway, 12);
    assert_eq!(gateway.first_asked(["shared", "ours"], 26), [13, 13]);
}

#[test]
fn nothing_that_a_client_sends_reaches_its_control_paths() {
    let (_browser, generator) = Browser::start();
    let gateway = gateway(OPEN, &[&generator]);
    let inner = format!("http://{}/restart", generator.address);
    let encoded = inner.replace(':', "%3A").replace('/', "%2F");
    for target in [
        "/restart",
        "//restart",
        "/fetch",
        "/signature",
        "/health",
        "/webcast/../restart",
        "/webcast/%2e%2e/restart",
        "/webcast/sign_url/../../restart",
        "/tiktok/sign_url/%2e%2e/%2e%2e/fetch",
        "/restart?client=ttlive-node",
        "/webcast/sign_url?url=%2Frestart",
        "/webcast/sign_url?url=https%3A%2F%2Fwebcast.tiktok.com%2Frestart",
        &format!("/webcast/sign_url?url={encoded}"),
        &inner,
    ] {
        for (method, body) in [("GET", None), ("POST", Some(r#"{"url":"http://169.254.169.254/latest"}"#))] {
            let refused = gateway.ask(method, target, &[], body);
            assert!((400..500).contains(&refused.status), "{method} {target}: {refused:?}");
        }
    }
    for body in [
        json!({"url": "http://169.254.169.254/latest/meta-data", "userAgent": "x"}),
        json!({"url": inner, "userAgent": "x"}),
        json!({"url": "https://webcast.tiktok.com@evil.example/webcast/x"}),
        json!({"url": "https://webcast.tiktok.com.evil.example/webcast/x"}),
        json!({"url": "file:///etc/passwd"}),
    ] {
        let refused = gateway.post("/tiktok/sign_url", &[], &body.to_string());
        assert!((400..500).contains(&refused.status), "{body}: {refused:?}");
    }
    let beside = json!({"url": URL, "navigateTo": inner, "path": "/restart", "userAgent": "Mozilla\r\nX: y"});
    let signed = gateway.post("/tiktok/sign_url", &[], &beside.to_string());
    assert!([200, 400].contains(&signed.status), "{signed:?}");
    assert_eq!(
        gateway.post("/tiktok/sign_url", &[], &json!({"url": URL, "navigateTo": inner}).to_string()).status,
        200
    );
    for asked in generator.asked() {
        let path = (asked.method.as_str(), asked.target.as_str());
        assert!([("POST", "/signature"), ("GET", "/health")].contains(&path), "{asked:?}");
    }
    for body in signatures(&generator) {
        assert!(
            body.as_object().unwrap().keys().all(|field| ["url", "userAgent"].contains(&field.as_str())),
            "{body}"
        );
        assert_eq!(body["url"], URL);
    }
}
