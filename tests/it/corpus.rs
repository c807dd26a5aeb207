//! Ways to send a request so that two servers read it differently, and what this gateway is to make of each.
//!
//! Generated from tables: the known families of request smuggling (CL.TE, TE.CL, TE.TE, odd lengths, bare line ends,
//! folding, chunk extensions, early upgrades, whitespace) and their well-formed neighbours, which must pass. Wherever
//! a variant could hide a request, it hides one whose target holds [`SMUGGLED`]: nobody may ever see that target.

/// Stands in the target of every hidden request.
pub const SMUGGLED: &str = "smuggled=1";

/// What one variant is to come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The bodies of the requests that are well framed, in their order, before anything is refused.
    pub bodies: Vec<Vec<u8>>,
    /// The status of the refusal that ends the connection, if one does.
    pub rejected: Option<u16>,
}

/// One way to send a request.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Unique, and says what is odd about it.
    pub name: String,
    /// All bytes of a connection; the client finishes sending after them.
    pub bytes: Vec<u8>,
    pub expected: Expected,
}

const LINE: &str = "POST /webcast/sign_url?client=ttlive-other HTTP/1.1\r\n";
const HOST: &str = "Host: sign.example\r\n";
const GOOD_BODY: &str =
    r#"{"url":"https://webcast.tiktok.com/webcast/im/fetch/?room_id=7300000000000000001","method":"GET"}"#;

fn hidden() -> String {
    format!("GET /webcast/fetch?room_id=666&{SMUGGLED} HTTP/1.1\r\n{HOST}\r\n")
}

#[derive(Default)]
struct Corpus(Vec<Variant>);

impl Corpus {
    fn add(
        &mut self,
        name: impl Into<String>,
        bytes: impl Into<Vec<u8>>,
        bodies: &[&[u8]],
        rejected: Option<u16>,
    ) {
        let bodies = bodies.iter().map(|body| body.to_vec()).collect();
        self.0.push(Variant {
            name: name.into(),
            bytes: bytes.into(),
            expected: Expected { bodies, rejected },
        });
    }

    fn reject(&mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.add(name, bytes, &[], Some(400));
    }

    fn pass(&mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>, body: &str) {
        self.add(name, bytes, &[body.as_bytes()], None);
    }
}

/// All variants.
pub fn corpus() -> Vec<Variant> {
    let mut corpus = Corpus::default();
    good(&mut corpus);
    codings(&mut corpus);
    lengths(&mut corpus);
    bytes_in_places(&mut corpus);
    header_lines(&mut corpus);
    request_lines(&mut corpus);
    hosts(&mut corpus);
    chunks(&mut corpus);
    expectations(&mut corpus);
    sizes(&mut corpus);
    pipelines(&mut corpus);
    cuts(&mut corpus);
    corpus.0
}

/// A body of one chunk and the hidden request behind it: what a reader by length and one by chunks disagree about.
fn chunked_then_hidden() -> String {
    format!("0\r\n\r\n{}", hidden())
}

fn good(corpus: &mut Corpus) {
    corpus.pass("good: no body", format!("{LINE}{HOST}\r\n"), "");
    corpus.pass("good: GET", format!("GET /webcast/rate_limits HTTP/1.1\r\n{HOST}\r\n"), "");
    corpus.pass("good: HEAD", format!("HEAD /webcast/rate_limits HTTP/1.1\r\n{HOST}\r\n"), "");
    corpus.pass("good: GET, length 0", format!("GET / HTTP/1.1\r\n{HOST}Content-Length: 0\r\n\r\n"), "");
    corpus.pass("good: HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", "");
    let hidden = hidden();
    for (name, body) in [("json", GOOD_BODY), ("a request", hidden.as_str()), ("one byte", "x")] {
        let length = body.len();
        corpus.pass(
            format!("good: length, body is {name}"),
            format!("{LINE}{HOST}Content-Length: {length}\r\n\r\n{body}"),
            body,
        );
        corpus.pass(
            format!("good: HTTP/1.0 length, body is {name}"),
            format!("POST / HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}"),
            body,
        );
        for coding in ["chunked", "Chunked", "CHUNKED"] {
            corpus.pass(
                format!("good: {coding}, body is {name}"),
                format!("{LINE}{HOST}Transfer-Encoding: {coding}\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"),
                body,
            );
        }
        let bytewise =
            body.chars().fold(String::new(), |chunks, c| chunks + "1\r\n" + &c.to_string() + "\r\n");
        corpus.pass(
            format!("good: chunks of one byte, body is {name}"),
            format!("{LINE}{HOST}Transfer-Encoding: chunked\r\n\r\n{bytewise}0\r\n\r\n"),
            body,
        );
        corpus.pass(
            format!("good: sizes in capitals with zeros, body is {name}"),
            format!("{LINE}{HOST}Transfer-Encoding: chunked\r\n\r\n{length:08X}\r\n{body}\r\n0000\r\n\r\n"),
            body,
        );
        corpus.pass(
            format!("good: expects 100-continue, body is {name}"),
            format!("{LINE}{HOST}Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n{body}"),
            body,
        );
    }
}

/// `Transfer-Encoding` in every disguise, alone and beside a length.
fn codings(corpus: &mut Corpus) {
    let disguises = [
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunkedx",
        "Transfer-Encoding: chunk",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: cow",
        "Transfer-Encoding:",
        "Transfer-Encoding: ",
        "Transfer-Encoding: ,",
        "Transfer-Encoding: ,chunked",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: , chunked ,",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: gzip,chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked chunked",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: chunked; a=b",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: 'chunked'",
        "Transfer-Encoding: (chunked)",
        "Transfer-Encoding:\tchunked",
        "Transfer-Encoding: \tchunked",
        "Transfer-Encoding: chunked\t",
        "Transfer-Encoding: chunked ",
        "Transfer-Encoding:\u{a0}chunked",
        "Transfer-Encoding: chunked\u{a0}",
        "Transfer-Encoding: chu\u{17f}nked",
        "Transfer-Encoding: chun\u{212a}ed",
        "Transfer-Encoding: c\thunked",
        "Transfer-Encoding: chunked\u{b}",
        "Transfer-Encoding:\u{b}chunked",
        "Transfer-Encoding:\u{c}chunked",
        "Transfer-Encoding: chunked\0",
        "Transfer-Encoding:\0chunked",
        "Transfer-Encoding\0: chunked",
        "Transfer-Encoding\u{b}: chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        " Transfer-Encoding: chunked",
        "\tTransfer-Encoding: chunked",
        "Transfer_Encoding: chunked",
        "Transfer Encoding: chunked",
        "Transfer-Encoding chunked",
        "Transfer-Encoding",
        ":Transfer-Encoding: chunked",
        "Transfer-Encoding\r: chunked",
        "\rTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r",
        "Transfer-Encoding: chunked\nX: y",
        "X: y\nTransfer-Encoding: chunked",
        "X: y\rTransfer-Encoding: chunked",
        "X: y\n\rTransfer-Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding:\r\n\tchunked",
        "Transfer-Encoding: chunked\r\n ,identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\nTRANSFER-ENCODING: x",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding:",
        "Foo: bar\r\n Transfer-Encoding: chunked",
    ];
    let rest = chunked_then_hidden();
    for disguise in disguises {
        let shown = disguise.escape_debug();
        corpus.reject(format!("coding alone: {shown}"), format!("{LINE}{HOST}{disguise}\r\n\r\n{rest}"));
        for length in [5, rest.len()] {
            let length = format!("Content-Length: {length}\r\n");
            corpus.reject(
                format!("coding before {}: {shown}", length.trim()),
                format!("{LINE}{HOST}{disguise}\r\n{length}\r\n{rest}"),
            );
            corpus.reject(
                format!("coding after {}: {shown}", length.trim()),
                format!("{LINE}{HOST}{length}{disguise}\r\n\r\n{rest}"),
            );
        }
    }
    for length in ["5", "0", "4", "99999", "-1", "x"] {
        for (order, headers) in [
            ("CL.TE", format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n")),
            ("TE.CL", format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n")),
            ("TE.X.CL", format!("Transfer-Encoding: chunked\r\nX: y\r\ncontent-length: {length}\r\n")),
        ] {
            let status = if length == "99999" { 413 } else { 400 };
            corpus.add(
                format!("{order}: length {length}"),
                format!("{LINE}{HOST}{headers}\r\n{rest}"),
                &[],
                Some(status),
            );
        }
    }
    for line in ["POST / HTTP/1.0\r\n", "GET / HTTP/1.0\r\n", "GET / HTTP/1.1\r\n", "HEAD / HTTP/1.1\r\n"] {
        corpus.reject(
            format!("coding on {}", line.trim()),
            format!("{line}{HOST}Transfer-Encoding: chunked\r\n\r\n{rest}"),
        );
    }
}

/// `Content-Length` with odd values, alone and beside a good one.
fn lengths(corpus: &mut Corpus) {
    let hidden = hidden();
    let odd = [
        "", " ", "+5", "-5", "-0", "+0", " 5 ", "5 ", "5\t", "\t5", "5,", ",5", "5, 5", "5,5", "5 5", "5, 6",
        "5;", "5;5", "5.0", "5e0", "0x5", "0X5", "x5", "5x", "05", "00", "005", "٥", "５", "5\u{a0}",
        "\u{a0}5", "5\u{b}", "\"5\"", "'5'", "(5)", "1_0", "1'0", "five", "NaN", "5\0", "\u{0}5", "5\r",
        "5\n", "5\nX: y", "5\r\n 0", "\r\n 5", "5#", "$5",
    ];
    for value in odd {
        let shown = value.escape_debug();
        corpus.reject(
            format!("length {shown}"),
            format!("{LINE}{HOST}Content-Length: {value}\r\n\r\nhello{hidden}"),
        );
        corpus.reject(
            format!("length {shown}, then a good one"),
            format!("{LINE}{HOST}Content-Length: {value}\r\nContent-Length: 5\r\n\r\nhello{hidden}"),
        );
    }
    for (first, second) in
        [("5", "5"), ("5", "6"), ("5", "0"), ("0", "5"), ("0", "0"), ("5", "05"), ("5", "")]
    {
        corpus.reject(
            format!("lengths {first} and {second:?}"),
            format!("{LINE}{HOST}Content-Length: {first}\r\ncontent-length: {second}\r\n\r\nhello{hidden}"),
        );
    }
    for huge in [
        "65537",
        "4294967296",
        "4294967301",
        "18446744073709551615",
        "18446744073709551621",
        "99999999999999999999",
    ] {
        corpus.add(
            format!("length {huge}"),
            format!("{LINE}{HOST}Content-Length: {huge}\r\n\r\nhello{hidden}"),
            &[],
            Some(413),
        );
    }
    for name in [
        "Content_Length",
        "Content-Length ",
        "Content-Length\t",
        " Content-Length",
        "Content Length",
        "Content-Length\0",
    ] {
        corpus.reject(
            format!("length under the name {name:?}"),
            format!("{LINE}{HOST}{name}: 5\r\n\r\nhello{hidden}"),
        );
    }
    for method in ["GET", "HEAD"] {
        let bytes = format!("{method} / HTTP/1.1\r\n{HOST}Content-Length: {}\r\n\r\n{hidden}", hidden.len());
        corpus.reject(format!("{method} with a body"), bytes);
    }
}

/// Bytes that end lines or may not stand in them, at every place of a head.
fn bytes_in_places(corpus: &mut Corpus) {
    let hidden = hidden();
    let bytes: [&[u8]; 12] = [
        b"\n", b"\r", b"\0", b"\x01", b"\x08", b"\x0b", b"\x0c", b"\x1b", b"\x1f", b"\x7f", b"\n\n",
        b"\r\r\n",
    ];
    let places = [
        ("before the method", "", "POST /webcast/sign_url HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("in the method", "PO", "ST /webcast/sign_url HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("after the method", "POST", " /webcast/sign_url HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("before the target", "POST ", "/webcast/sign_url HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("in the target", "POST /webcast/", "sign_url HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("in the version", "POST / HTTP/1", ".1\r\nHost: a\r\n\r\n"),
        ("after the version", "POST / HTTP/1.1", "\r\nHost: a\r\n\r\n"),
        ("in a header name", "POST / HTTP/1.1\r\nHost: a\r\nX-", "Y: z\r\n\r\n"),
        ("before a colon", "POST / HTTP/1.1\r\nHost: a\r\nX", ": z\r\n\r\n"),
        ("after a colon", "POST / HTTP/1.1\r\nHost: a\r\nX:", "z\r\n\r\n"),
        ("in a header value", "POST / HTTP/1.1\r\nHost: a\r\nX: y", "z\r\n\r\n"),
        ("after a header value", "POST / HTTP/1.1\r\nHost: a\r\nX: y", "\r\n\r\n"),
        ("in the Host", "POST / HTTP/1.1\r\nHost: a", "b\r\n\r\n"),
        ("before the empty line", "POST / HTTP/1.1\r\nHost: a\r\n", "\r\n"),
    ];
    for byte in bytes {
        for (place, before, after) in places {
            let bytes = [before.as_bytes(), byte, after.as_bytes(), hidden.as_bytes()].concat();
            corpus.reject(format!("{} {place}", byte.escape_ascii()), bytes);
        }
    }
    let all_lf = format!("{LINE}{HOST}\r\n").replace("\r\n", "\n");
    corpus.reject("every line ends in LF", format!("{all_lf}{hidden}"));
    let all_cr = format!("{LINE}{HOST}\r\n").replace("\r\n", "\r");
    corpus.reject("every line ends in CR", format!("{all_cr}{hidden}"));
    for junk in ["\r\n", "\n", "\r", "\r\n\r\n", " ", "\t", "\0", "\u{feff}", " \r\n", "{}"] {
        corpus.reject(
            format!("{} before the request line", junk.escape_debug()),
            format!("{junk}{LINE}{HOST}\r\n"),
        );
    }
}

fn header_lines(corpus: &mut Corpus) {
    let hidden = hidden();
    for byte in [
        b'"', b'(', b')', b',', b'/', b';', b'<', b'=', b'>', b'?', b'@', b'[', b'\\', b']', b'{', b'}',
        b'_', 0x80, 0xff,
    ] {
        let bytes =
            [format!("{LINE}{HOST}X-").as_bytes(), &[byte], format!("A: b\r\n\r\n{hidden}").as_bytes()]
                .concat();
        corpus.reject(format!("{} in a header name", [byte].escape_ascii()), bytes);
    }
    for line in [
        "X-Api_Key: a",
        "api_key: a",
        "X_Forwarded_For: 127.0.0.1",
        "__proto__: a",
        ": value",
        ":",
        "novalue",
        "no colon here",
        "X : y",
        "X\t: y",
        " X: y",
        "\tX: y",
        " ",
        "\t",
        " continued",
        "\tcontinued",
        " : y",
        "X: y\r\n z",
        "X: y\r\n\tz",
        "X:\r\n z",
        "X: y\r\n ",
        "X: y\r\n \r\n z",
        "GET / HTTP/1.1",
    ] {
        corpus.reject(
            format!("header line {}", line.escape_debug()),
            format!("{LINE}{HOST}{line}\r\n\r\n{hidden}"),
        );
        corpus.reject(
            format!("first header line {}", line.escape_debug()),
            format!("{LINE}{line}\r\n{HOST}\r\n{hidden}"),
        );
    }
    for line in [
        "X:",
        "X:y",
        "X: \t y \t ",
        "X: caf\u{e9}",
        "X: a:b:c",
        "x-forwarded-for: 127.0.0.1",
        "X: POST / HTTP/1.1",
    ] {
        corpus.pass(
            format!("good: header line {}", line.escape_debug()),
            format!("{LINE}{HOST}{line}\r\n\r\n"),
            "",
        );
    }
    corpus.reject("space after the request line", format!("{}{HOST}\r\n", LINE.replace("\r\n", "\r\n ")));
}

fn request_lines(corpus: &mut Corpus) {
    let hidden = hidden();
    for line in [
        "GET / HTTP/0.9",
        "GET / HTTP/1.2",
        "GET / HTTP/2.0",
        "GET / HTTP/2",
        "GET / HTTP/1",
        "GET / HTTP/1.",
        "GET / HTTP/1.10",
        "GET / HTTP/01.1",
        "GET / HTTP/1.1x",
        "GET / HTTP/1,1",
        "GET / http/1.1",
        "GET / HTTPS/1.1",
        "GET / XTTP/1.1",
        "GET / HTTP/ 1.1",
        "GET / HTTP/1 .1",
        "GET / HTTP /1.1",
        "GET / ",
        "GET /",
        "GET ",
        "GET",
        "/ HTTP/1.1",
        " / HTTP/1.1",
        " GET / HTTP/1.1",
        "\tGET / HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/1.1\t",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET / / HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET / HTTP/1.1 HTTP/1.1",
        "GET HTTP/1.1",
        "GET  HTTP/1.1",
        "GET * HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "CONNECT sign.example:443 HTTP/1.1",
        "CONNECT / HTTP/1.1",
        "CONNECT /webcast/fetch HTTP/1.1",
        "GET sign.example HTTP/1.1",
        "GET sign.example:443 HTTP/1.1",
        "GET webcast/fetch HTTP/1.1",
        "GET ?room_id=1 HTTP/1.1",
        "GET http://sign.example/ HTTP/1.1",
        "GET https://sign.example/webcast/fetch HTTP/1.1",
        "GET http://127.0.0.1:9091/metrics HTTP/1.1",
        "GET file:///etc/passwd HTTP/1.1",
        "GET \\webcast\\fetch HTTP/1.1",
        "GET /webcast\\fetch HTTP/1.1",
        "GET /#fragment HTTP/1.1",
        "GET /?a=b#c HTTP/1.1",
        "GET # HTTP/1.1",
        "GET /caf\u{e9} HTTP/1.1",
        "GET /\" HTTP/1.1",
        "GET /<x> HTTP/1.1",
        "GET /?q=<x> HTTP/1.1",
        "GET /` HTTP/1.1",
        "G@T / HTTP/1.1",
        "GE(T / HTTP/1.1",
        "G\u{c9}T / HTTP/1.1",
        "\"GET\" / HTTP/1.1",
        "GET: / HTTP/1.1",
        "AVERYLONGMETHODTHATNOBODYHASREGISTERED / HTTP/1.1",
        "PRI * HTTP/2.0",
        "PROXY TCP4 203.0.113.7 10.0.0.1 8080 80",
        "PROXY UNKNOWN",
        "HTTP/1.1 200 OK",
        "{\"json\":true}",
    ] {
        corpus
            .reject(format!("request line {}", line.escape_debug()), format!("{line}\r\n{HOST}\r\n{hidden}"));
    }
    corpus.reject("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0");
    corpus.reject("TLS ClientHello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec());
    corpus.reject(
        "PROXY protocol, version 2",
        [&b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"[..], hidden.as_bytes()].concat(),
    );
    for line in [
        "get / HTTP/1.1",
        "PROPFIND / HTTP/1.1",
        "GET //webcast//fetch/ HTTP/1.1",
        "GET /?a={b}|^[c] HTTP/1.1",
        "X!#$%&'*+-.^_`|~ / HTTP/1.1",
    ] {
        corpus.pass(format!("good: request line {line}"), format!("{line}\r\n{HOST}\r\n"), "");
    }
}

fn hosts(corpus: &mut Corpus) {
    let hidden = hidden();
    for headers in [
        "",
        "Host:\r\n",
        "Host: \r\n",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nhost: b\r\n",
        "Host: a\r\nX: y\r\nHOST: a\r\n",
        "Host: a b\r\n",
        "Host: a,b\r\n",
        "Host: a, b\r\n",
        "Host: a/b\r\n",
        "Host: a?b\r\n",
        "Host: a#b\r\n",
        "Host: a@b\r\n",
        "Host: a\\b\r\n",
        "Host: a\tb\r\n",
        "Host: \"a\"\r\n",
        "Host: http://a\r\n",
        "Host: <a>\r\n",
        "Host: \u{e9}\r\n",
        "Host : a\r\n",
        "Host_: a\r\n",
        "Hos_t: a\r\n",
        " Host: a\r\n",
        "X: y\r\n Host: a\r\n",
        "Hosts: a\r\n",
    ] {
        corpus.reject(
            format!("hosts {}", headers.escape_debug()),
            format!("GET / HTTP/1.1\r\n{headers}\r\n{hidden}"),
        );
    }
    corpus.reject("two hosts in HTTP/1.0", format!("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n{hidden}"));
    for host in ["sign.example", "sign.example:8080", "[2001:db8::1]:80", "127.0.0.1", "a_b", "\t a \t"] {
        corpus.pass(format!("good: host {host:?}"), format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), "");
    }
}

/// Chunked bodies with something wrong in them.
fn chunks(corpus: &mut Corpus) {
    let hidden = hidden();
    let head = format!("{LINE}{HOST}Transfer-Encoding: chunked\r\n\r\n");
    let bodies = [
        "5;ext\r\nhello\r\n0\r\n\r\n",
        "5;ext=1\r\nhello\r\n0\r\n\r\n",
        "5;ext=\"\r\n\"\r\nhello\r\n0\r\n\r\n",
        "5;\r\nhello\r\n0\r\n\r\n",
        "5; \r\nhello\r\n0\r\n\r\n",
        "5 ;ext\r\nhello\r\n0\r\n\r\n",
        "5;ext\nhello\r\n0\r\n\r\n",
        "5;\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0;ext\r\n\r\n",
        "5\r\nhello\r\n0;\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "\t5\r\nhello\r\n0\r\n\r\n",
        "5\t\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "-0\r\n\r\n",
        "5.\r\nhello\r\n0\r\n\r\n",
        "5,5\r\nhello\r\n0\r\n\r\n",
        "5_0\r\nhello\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "\r\n5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\rhello\r\n0\r\n\r\n",
        "5\n\rhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "5\r\nhello\r\n\r\n0\r\n\r\n",
        "6\r\nhello\r\n0\r\n\r\n",
        "4\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\n\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r\n0\r\n\r",
        "5\r\nhello\r\n0\r\nX: y\r\n\r\n",
        "5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n",
        "5\r\nhello\r\n0\r\nHost: b\r\n\r\n",
        "5\r\nhello\r\n0\r\n X: y\r\n\r\n",
        "5\r\nhello\r\n0\r\n:\r\n\r\n",
        "5\r\nhello\r\n0\r\n\n\r\n",
        "5\r\nhello\r\n00000000000000000\r\n\r\n",
        "000000000000000005\r\nhello\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "100000005\r\nhello\r\n0\r\n\r\n",
        "5\0\r\nhello\r\n0\r\n\r\n",
        "\u{ff15}\r\nhello\r\n0\r\n\r\n",
        "{}",
    ];
    for body in bodies {
        corpus.reject(format!("chunks {}", body.escape_debug()), format!("{head}{body}{hidden}"));
    }
    for size in ["10001", "FFFFFFFF", "7fffffff", "80000000"] {
        corpus.add(
            format!("chunk of size {size}"),
            format!("{head}{size}\r\nhello\r\n0\r\n\r\n{hidden}"),
            &[],
            Some(413),
        );
    }
}

fn expectations(corpus: &mut Corpus) {
    let hidden = hidden();
    for header in [
        "Expect: 100-continue, x",
        "Expect: 200-ok",
        "Expect:",
        "Expect: 100",
        "Expect: 100-continue\r\nExpect: x",
        "Upgrade: websocket",
        "Upgrade: h2",
        "Upgrade: h2c, websocket",
        "Upgrade: TLS/1.0",
        "Upgrade:",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13",
        "Upgrade: h2c\r\nUpgrade: websocket",
    ] {
        corpus.reject(
            format!("header {}", header.escape_debug()),
            format!("GET / HTTP/1.1\r\n{HOST}{header}\r\n\r\n{hidden}"),
        );
    }
    // Asked for by Java's client on every plain connection: answered in HTTP/1.1, and nothing after it is read.
    let wish = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n";
    corpus.pass("good: wishes for h2c", format!("GET / HTTP/1.1\r\n{HOST}{wish}\r\n"), "");
    corpus.pass("early h2c: a request follows", format!("GET / HTTP/1.1\r\n{HOST}{wish}\r\n{hidden}"), "");
    corpus.pass(
        "early h2c: a preface follows",
        format!("GET / HTTP/1.1\r\n{HOST}{wish}\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        "",
    );
    corpus.pass(
        "early h2c: a body, then a request",
        format!("{LINE}{HOST}{wish}Content-Length: 5\r\n\r\nhello{hidden}"),
        "hello",
    );
    corpus.pass(
        "closing: a request follows",
        format!("GET / HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n{hidden}"),
        "",
    );
    corpus.pass("closing HTTP/1.0: a request follows", format!("GET / HTTP/1.0\r\n\r\n{hidden}"), "");
}

fn sizes(corpus: &mut Corpus) {
    let hidden = hidden();
    let long = |length: usize| "a".repeat(length);
    corpus.pass("good: target of 8 KiB", format!("GET /{} HTTP/1.1\r\n{HOST}\r\n", long(8191)), "");
    corpus.add(
        "target one byte too long",
        format!("GET /{} HTTP/1.1\r\n{HOST}\r\n{hidden}", long(8192)),
        &[],
        Some(414),
    );
    corpus.add("target without end", format!("GET /{}", long(20_000)), &[], Some(414));
    corpus.add("method without end", long(20_000), &[], Some(414));
    let around = format!("GET / HTTP/1.1\r\n{HOST}X: \r\n\r\n").len();
    let fits = 16 * 1024 - around;
    corpus.pass("good: head of 16 KiB", format!("GET / HTTP/1.1\r\n{HOST}X: {}\r\n\r\n", long(fits)), "");
    for (name, length) in
        [("one byte too large", fits + 1), ("twice too large", 2 * fits), ("ten times too large", 10 * fits)]
    {
        corpus.add(
            format!("head {name}"),
            format!("GET / HTTP/1.1\r\n{HOST}X: {}\r\n\r\n{hidden}", long(length)),
            &[],
            Some(431),
        );
    }
    corpus.add(
        "header name without end",
        format!("GET / HTTP/1.1\r\n{HOST}{}", long(20_000)),
        &[],
        Some(431),
    );
    let lines = |count: usize| (0..count).fold(String::new(), |lines, n| lines + &format!("X-{n}: y\r\n"));
    corpus.pass("good: 64 headers", format!("GET / HTTP/1.1\r\n{HOST}{}\r\n", lines(63)), "");
    for count in [64, 100, 200, 1000] {
        corpus.add(
            format!("{} headers", count + 1),
            format!("GET / HTTP/1.1\r\n{HOST}{}\r\n{hidden}", lines(count)),
            &[],
            Some(431),
        );
    }
    let full = long(64 * 1024);
    corpus.pass("good: body of 64 KiB", format!("{LINE}{HOST}Content-Length: 65536\r\n\r\n{full}"), &full);
    let chunk = format!("8000\r\n{}\r\n", long(0x8000));
    let head = format!("{LINE}{HOST}Transfer-Encoding: chunked\r\n\r\n");
    corpus.pass("good: 64 KiB in two chunks", format!("{head}{chunk}{chunk}0\r\n\r\n"), &full);
    corpus.add(
        "64 KiB and a byte in chunks",
        format!("{head}{chunk}{chunk}1\r\nx\r\n0\r\n\r\n{hidden}"),
        &[],
        Some(413),
    );
    corpus.add("chunks without end", format!("{head}{}", chunk.repeat(8)), &[], Some(413));
}

/// Several requests on one connection.
fn pipelines(corpus: &mut Corpus) {
    let hidden = hidden();
    let get = format!("GET /webcast/rate_limits HTTP/1.1\r\n{HOST}\r\n");
    let post = format!("{LINE}{HOST}Content-Length: 5\r\n\r\nhello");
    let chunked = format!("{LINE}{HOST}Transfer-Encoding: chunked\r\n\r\n5\r\nworld\r\n0\r\n\r\n");
    corpus.add("good: two GETs", format!("{get}{get}"), &[b"", b""], None);
    corpus.add(
        "good: a mixture",
        format!("{get}{post}{chunked}{get}"),
        &[b"", b"hello", b"world", b""],
        None,
    );
    corpus.add("good: twenty", get.repeat(20), &[b"".as_slice(); 20], None);
    for (name, bad) in [
        ("a bad head", format!("GET / HTTP/9.9\r\n\r\n{hidden}")),
        ("an empty line", format!("\r\n{hidden}")),
        ("two lengths", format!("{LINE}{HOST}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello{hidden}")),
        (
            "CL.TE",
            format!("{LINE}{HOST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        ),
        (
            "a bad chunk",
            format!("{LINE}{HOST}Transfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\n\r\n{hidden}"),
        ),
        ("no Host", format!("GET / HTTP/1.1\r\n\r\n{hidden}")),
    ] {
        corpus.add(format!("after a GET: {name}"), format!("{get}{bad}"), &[b""], Some(400));
        corpus.add(format!("after a POST: {name}"), format!("{post}{bad}"), &[b"hello"], Some(400));
        corpus.add(format!("after chunks: {name}"), format!("{chunked}{bad}"), &[b"world"], Some(400));
    }
    corpus.add(
        "a body two bytes longer than its length",
        format!("{post}\r\n{hidden}"),
        &[b"hello"],
        Some(400),
    );
}

/// Connections that end too early.
fn cuts(corpus: &mut Corpus) {
    for (name, bytes) in [
        ("in the method", "PO".to_owned()),
        ("in the target", "POST /webcast".to_owned()),
        ("in a CRLF", "POST / HTTP/1.1\r".to_owned()),
        ("in a header", format!("{LINE}{HOST}X-")),
        ("before the empty line", format!("{LINE}{HOST}")),
        ("before a body", format!("{LINE}{HOST}Content-Length: 5\r\n\r\n")),
        ("in a body", format!("{LINE}{HOST}Content-Length: 5\r\n\r\nhell")),
        ("before chunks", format!("{LINE}{HOST}Transfer-Encoding: chunked\r\n\r\n")),
        ("in a chunk size", format!("{LINE}{HOST}Transfer-Encoding: chunked\r\n\r\n5")),
        ("in a chunk", format!("{LINE}{HOST}Transfer-Encoding: chunked\r\n\r\n5\r\nhel")),
        ("before the last chunk", format!("{LINE}{HOST}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")),
        (
            "before the last CRLF",
            format!("{LINE}{HOST}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"),
        ),
    ] {
        corpus.reject(format!("cut {name}"), bytes);
    }
}
