//! What a client needs of a signed URL, told without the judge's own words.

use signgate::generator::judge::Good;
use url::Url;

/// URLs as they may be asked for: plain, come signed, with names and values twice, without a query.
pub const ASKED: [&str; 4] = [
    "https://webcast.tiktok.com/webcast/im/fetch/?room_id=7",
    "https://webcast.tiktok.com/webcast/im/fetch/?aid=1988&room_id=7&X-Bogus=DFSzswVLkKxANGP5CtmFF2lUrn1a&msToken=t",
    "https://webcast.tiktok.com/webcast/im/fetch/?cursor=&ua=Mozilla%2F5.0+(X11)&room_id=7&tag=a&tag=b&tag=a",
    "https://webcast.tiktok.com/webcast/im/fetch/",
];

type Pairs = Vec<(String, String)>;

fn pairs(url: &Url) -> Pairs {
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// Panics unless it is `asked` with a signature that was not there.
pub fn assert_signed(asked: &str, good: &Good) {
    let signed = good.signed.as_ref().expect("a signed URL");
    let text = &signed.signed_url;
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'), "{text}");
    let (url, asked) = (Url::parse(text).expect("is a URL"), Url::parse(asked).unwrap());
    let place = |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port(), url.path().to_owned());
    assert_eq!(place(&url), place(&asked));
    assert!(url.username().is_empty() && url.password().is_none(), "{text}");
    let (signed_pairs, asked_pairs) = (pairs(&url), pairs(&asked));
    let is_of_signers = |name: &str| {
        name.to_ascii_lowercase().starts_with("x-") || ["msToken", "_signature", "verifyFp", "fp"].contains(&name)
    };
    for pair @ (name, value) in asked_pairs.iter().filter(|(name, _)| !is_of_signers(name)) {
        let count = |pairs: &Pairs| pairs.iter().filter(|other| *other == pair).count();
        assert!(value.is_empty() || count(&signed_pairs) >= count(&asked_pairs), "{pair:?} is gone: {text}");
        let contradicts = |other: &(String, String)| other.0 == *name && !asked_pairs.contains(other);
        assert!(!signed_pairs.iter().any(contradicts), "{name} is another: {text}");
    }
    let is_a_signature = |(name, value): &&(String, String)| {
        ["X-Bogus", "X-Gnarly", "_signature"].contains(&name.as_str()) && value.len() >= 16 && !value.contains(' ')
    };
    assert!(
        signed_pairs.iter().filter(is_a_signature).any(|pair| !asked_pairs.contains(pair)),
        "no signature of its own: {text}"
    );
    // Every client reads what is made of it.
    for shape in [signgate::dialect::answer::SignedShape::Nested, signgate::dialect::answer::SignedShape::Flat] {
        let told: serde_json::Value = serde_json::from_slice(&signed.body(shape)).expect("is JSON");
        let response = told.get("response").unwrap_or(&told);
        assert_eq!(response["signedUrl"], **text);
    }
}
