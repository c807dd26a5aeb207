//! The shipped policies, compiled in: what decides where no directory is there.

use crate::policy::Sources;

/// What diagnostics and rules call the directory.
pub const NAME: &str = "(shipped policies)";

macro_rules! shipped {
    ($($name:literal),+ $(,)?) => {
        /// Each file's name below the directory, and its text.
        pub const FILES: &[(&str, &str)] =
            &[$(($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/policies/", $name)))),+];
    };
}

shipped! {
    "10-tiers.toml",
    "20-quotas.toml",
    "30-lists.toml",
    "40-targets.toml",
    "50-accounts.toml",
    "feeds/viewbot-proxies.netset",
}

/// The shipped set, ready to be compiled.
pub fn sources() -> Sources {
    let mut sources = Sources::new(NAME);
    for (name, text) in FILES {
        sources.insert(*name, text.as_bytes());
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::policies::read_directory;

    #[test]
    fn what_is_compiled_in_is_what_the_directory_holds() {
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
        let read = read_directory(&directory).unwrap().sources;
        let compiled_in = sources();
        assert_eq!(
            read.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            compiled_in.iter().map(|(name, _)| name).collect::<Vec<_>>()
        );
        assert_eq!(read.digest(), compiled_in.digest());
    }
}
