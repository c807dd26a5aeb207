//! Which library asks: by its `User-Agent` where that names one, else by `client=`.

use crate::base::library::{Library, LibraryName, Version};

/// What libraries call themselves in their `User-Agent`, before the version. Java, C#, Go and Rust send a browser's.
const AGENTS: [(&str, LibraryName); 2] =
    [("tiktoklive.py/", LibraryName::Python), ("tiktok-live-connector/", LibraryName::Node)];

/// The library of a `User-Agent`, where it names one.
pub(super) fn of_user_agent(user_agent: &str) -> Option<Library> {
    AGENTS.iter().find_map(|(prefix, name)| {
        let head = user_agent.get(..prefix.len())?;
        let version = &user_agent[prefix.len()..];
        head.eq_ignore_ascii_case(prefix).then(|| Library { name: *name, version: Version::parse(version) })
    })
}

/// The library that `client=` names.
pub(super) fn of_client(word: &str) -> Library {
    LibraryName::from_word(word).map_or(Library::UNKNOWN, |name| Library { name, version: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_agents() {
        let named = |agent| {
            of_user_agent(agent).map(|library| (library.name, library.version.map(|v| v.to_string())))
        };
        assert_eq!(named("TikTokLive.py/7.0.1"), Some((LibraryName::Python, Some("7.0.1".into()))));
        assert_eq!(
            named("tiktok-live-connector/2.5.0 linux"),
            Some((LibraryName::Node, Some("2.5.0".into())))
        );
        assert_eq!(named("tiktok-live-connector/"), Some((LibraryName::Node, None)));
        assert_eq!(named("Mozilla/5.0 TikTokLive.py/7.0.1"), None);
        assert_eq!(named("TikTokLivé.py"), None);
        assert_eq!(of_client("gotiktok_live").name, LibraryName::Go);
        assert_eq!(of_client("ttlive-cloudflare"), Library::UNKNOWN);
    }
}
