//! Every table and every field, as the reader knows them and as the reference prints them.
//!
//! A field that is not here is refused as unknown, and one that is here and that no reader asks for fails every test that
//! reads such a table: so neither can be forgotten.

use crate::policy::reader::{FieldDoc, TableDoc};

/// All of them, in the order of the reference.
pub const TABLES: [&TableDoc; 23] = [
    &FILE,
    &TIER,
    &ACCOUNT,
    &KEY,
    &QUOTA,
    &DISTINCT,
    &RATE,
    &CONCURRENCY,
    &BLOCKLIST,
    &ALLOWLIST,
    &TARGET,
    &SESSIONS,
    &NETWORKS,
    &SHEDDING,
    &VIEWBOT,
    &VIEWBOT_GATE,
    &VIEWBOT_EVIDENCE,
    &VIEWBOT_STRANGERS,
    &VIEWBOT_LADDER,
    &VIEWBOT_ADDRESS,
    &VIEWBOT_ADDRESS_PROFILE,
    &VIEWBOT_SUBNET,
    &VIEWBOT_KEY,
];

const NAME: FieldDoc = FieldDoc::required(
    "name",
    "name, unique among all rules",
    "Stands in refusals, records and metrics. Counters live under it: a renamed rule starts anew.",
);
const MODE: FieldDoc = FieldDoc::defaults(
    "mode",
    "`enforce`, `shadow`, `off`",
    "`enforce`",
    "`shadow` decides, counts and records as if in force, and refuses nobody. `off` is not looked at.",
);
const SCOPE: FieldDoc = FieldDoc::required(
    "scope",
    "`account`, `key`, `proxy`, `subnet`, `asn`, `room`, `library`, `total`, or a pair such as `proxy+room`",
    "Per what is counted. `proxy` is an IPv4 address or an IPv6 /64, `subnet` a /24 or /48. A request that has none (no key, no room) is not counted.",
);
const TIERS: FieldDoc =
    FieldDoc::defaults("tiers", "list of tiers", "all tiers", "Whose requests are counted.");
const OPERATIONS: FieldDoc = FieldDoc::defaults(
    "operations",
    "list of `connect`, `sign-url`, `room-id`, `chat`",
    "all of these",
    "Which requests are counted. Asking for one's limits is never counted.",
);
const EXPIRES: FieldDoc = FieldDoc::optional(
    "expires",
    "date and time with zone, such as `2027-01-01T00:00:00Z`",
    "From then on it is no longer in force.",
);
const PREFIXES: FieldDoc = FieldDoc::optional(
    "prefixes",
    "list of addresses and prefixes, at most 10,000",
    "Matches the client's address. No bits may be set behind a prefix's length.",
);
const ASNS: FieldDoc = FieldDoc::optional(
    "asns",
    "list of whole numbers, at most 10,000",
    "Matches the autonomous system that announces the client's address. Needs `[networks]`.",
);
const ROOMS: FieldDoc = FieldDoc::optional(
    "rooms",
    "list of room ids and `@unique_id`s, as texts, at most 10,000",
    "Matches the room that is asked for.",
);
const ACCOUNTS: FieldDoc =
    FieldDoc::optional("accounts", "list of accounts, at most 10,000", "Matches the account of the key.");
const KEYS: FieldDoc =
    FieldDoc::optional("keys", "list of keys' public ids, at most 10,000", "Matches the key.");
const USER_AGENTS: FieldDoc = FieldDoc::optional(
    "user-agents",
    "list of patterns, `*` for any text; at most 256 in all lists together",
    "Matches the `User-Agent` header, in either case. Anybody can send any.",
);
const LIBRARIES: FieldDoc = FieldDoc::optional(
    "libraries",
    "list such as `ttlive-python` or `ttlive-python >=6.0 <7`",
    "Matches the client library as it names itself.",
);
const FEED: FieldDoc = FieldDoc::optional(
    "file",
    "file below the policy directory, packed where its name ends with `.gz`",
    "A feed: an address or prefix a line, comments after `#` or `;`. At most 2,000,000 prefixes in 64 MiB.",
);

/// What may stand in a file.
pub static FILE: TableDoc = TableDoc {
    header: "a policy file",
    meaning: "Every `*.toml` of the policy directory is read, and all of them together are the policy. The order of files and of \
        tables decides nothing.",
    fields: &[
        FieldDoc::required(
            "format",
            "`1`",
            "The format that the files are written in. At least one file says it.",
        ),
        FieldDoc::required("tier", "`[tier.NAME]`", "Who is treated alike."),
        FieldDoc::optional("account", "`[[account]]`", "The owners of keys."),
        FieldDoc::optional("key", "`[[key]]`", "Credentials."),
        FieldDoc::optional("quota", "`[[quota]]`", "So many requests in a window."),
        FieldDoc::optional("distinct", "`[[distinct]]`", "So many different ones of something in a window."),
        FieldDoc::optional("rate", "`[[rate]]`", "How fast."),
        FieldDoc::optional("concurrency", "`[[concurrency]]`", "How many at a time."),
        FieldDoc::optional("blocklist", "`[[blocklist]]`", "Who is refused outright."),
        FieldDoc::optional("allowlist", "`[[allowlist]]`", "Who is exempt."),
        FieldDoc::optional("target", "`[[target]]`", "What may be signed."),
        FieldDoc::optional("sessions", "`[sessions]`", "What happens to session credentials."),
        FieldDoc::optional("networks", "`[networks]`", "Which network an address is in."),
        FieldDoc::optional("shedding", "`[shedding]`", "Who goes first when there is too much."),
        FieldDoc::optional("viewbot", "`[viewbot]`", "View-bot detection."),
    ],
};

/// `[tier.NAME]`.
pub static TIER: TableDoc = TableDoc {
    header: "[tier.NAME]",
    meaning: "A named set of limits: rules name the tiers that they are for. At most 64 of them.",
    fields: &[FieldDoc::required(
        "class",
        "`none`, `free`, `paid`",
        "What kind of customer it is for. Exactly one tier has the class `none`: requests without a key are in it.",
    )],
};

/// `[[account]]`.
pub static ACCOUNT: TableDoc = TableDoc {
    header: "[[account]]",
    meaning: "The owner of any number of keys, which share what the account is admitted.",
    fields: &[
        FieldDoc::required("id", "name, unique among accounts", "How rules, keys and records call it."),
        FieldDoc::required("tier", "tier", "Whose limits apply."),
    ],
};

/// `[[key]]`.
pub static KEY: TableDoc = TableDoc {
    header: "[[key]]",
    meaning: "A credential. `signgate keys new` writes it; the key itself stands in no file.",
    fields: &[
        FieldDoc::required("id", "name, unique among keys", "Its public id, which may stand in records."),
        FieldDoc::required(
            "hash",
            "`blake3:` and 64 hexadecimal digits",
            "The BLAKE3 hash of the key's text.",
        ),
        FieldDoc::required("account", "account", "Whose it is."),
        FieldDoc::optional(
            "expires",
            "date and time with zone, such as `2027-01-01T00:00:00Z`",
            "From then on requests with it are refused.",
        ),
        FieldDoc::defaults("disabled", "`true`, `false`", "`false`", "Whether requests with it are refused."),
        FieldDoc::defaults(
            "proxies",
            "list of addresses and prefixes, at most 10,000",
            "from everywhere",
            "From where it may be used.",
        ),
        FieldDoc::defaults(
            "rooms",
            "list of room ids and `@unique_id`s, as texts, at most 10,000",
            "for all rooms",
            "For which rooms it may be used.",
        ),
    ],
};

/// `[[quota]]`.
pub static QUOTA: TableDoc = TableDoc {
    header: "[[quota]]",
    meaning: "So many requests in each window. A window opens with the subject's first request and ends so long after it. A refused \
        request consumes nothing.",
    fields: &[
        NAME,
        MODE,
        SCOPE,
        TIERS,
        OPERATIONS,
        FieldDoc::required(
            "limits",
            "table of 1 to 12 windows, such as `{ minute = 5, \"30m\" = 20 }`; whole numbers from 0",
            "How many each window admits. A window is named `second`, `minute`, `hour`, `day`, `week`, or by a length of at most 366 days. 0 admits none.",
        ),
    ],
};

/// `[[distinct]]`.
pub static DISTINCT: TableDoc = TableDoc {
    header: "[[distinct]]",
    meaning: "So many different ones of something in each window: 4 different rooms for one proxy in 30 minutes. Asking again for one \
        that was counted costs nothing. Exact up to its limit.",
    fields: &[
        NAME,
        MODE,
        FieldDoc::required(
            "count",
            "`account`, `key`, `proxy`, `subnet`, `asn`, `room`, `library`",
            "Of what different ones are counted. Not one of `scope`. A changed word starts the counters anew.",
        ),
        SCOPE,
        TIERS,
        OPERATIONS,
        FieldDoc::required(
            "limits",
            "table of 1 to 12 windows, as of a quota; whole numbers from 1 to 1000",
            "How many different ones each window admits.",
        ),
    ],
};

/// `[[rate]]`.
pub static RATE: TableDoc = TableDoc {
    header: "[[rate]]",
    meaning: "How fast: smoothed, with a burst after a pause (GCRA).",
    fields: &[
        NAME,
        MODE,
        SCOPE,
        TIERS,
        OPERATIONS,
        FieldDoc::required(
            "rate",
            "count and length, such as `\"2/s\"` or `\"20/5m\"`",
            "What is let through evenly.",
        ),
        FieldDoc::defaults(
            "burst",
            "whole number from 1",
            "`1`",
            "How many at once after a pause; 1 is strictly even. A whole burst builds up within 366 days.",
        ),
    ],
};

/// `[[concurrency]]`.
pub static CONCURRENCY: TableDoc = TableDoc {
    header: "[[concurrency]]",
    meaning: "How many requests may be under way at a time.",
    fields: &[
        NAME,
        MODE,
        SCOPE,
        TIERS,
        OPERATIONS,
        FieldDoc::required("max", "whole number from 1", "How many."),
    ],
};

/// `[[blocklist]]`.
pub static BLOCKLIST: TableDoc = TableDoc {
    header: "[[blocklist]]",
    meaning: "Refuses outright, with 403, what matches any of it. At least one matcher is there.",
    fields: &[
        NAME,
        MODE,
        FieldDoc::optional(
            "reason",
            "text of one line, at most 200 characters",
            "What a refused caller is told, beside the request id to appeal with.",
        ),
        EXPIRES,
        PREFIXES,
        ASNS,
        ROOMS,
        ACCOUNTS,
        KEYS,
        USER_AGENTS,
        LIBRARIES,
        FEED,
    ],
};

/// `[[allowlist]]`.
pub static ALLOWLIST: TableDoc = TableDoc {
    header: "[[allowlist]]",
    meaning: "Exempts what matches any of it from other rules. Allowlists are asked first. At least one matcher is there. In `shadow` \
        nobody is exempt.",
    fields: &[
        NAME,
        MODE,
        FieldDoc::required(
            "exempt",
            "list of `blocklist`, `quota`, `viewbot`",
            "From what: `quota` stands for quotas, distinct quotas, rates and concurrency.",
        ),
        EXPIRES,
        PREFIXES,
        ASNS,
        ROOMS,
        ACCOUNTS,
        KEYS,
        USER_AGENTS,
        LIBRARIES,
        FEED,
    ],
};

/// `[[target]]`.
pub static TARGET: TableDoc = TableDoc {
    header: "[[target]]",
    meaning: "What may be signed: any of the hosts with any of the paths. All else is refused.",
    fields: &[
        FieldDoc::required("hosts", "list of host names, 1 to 10,000", "Matched whole, in either case."),
        FieldDoc::required(
            "paths",
            "list of paths from `/` on, 1 to 10,000",
            "Matched whole, or as the beginning where they end with `*`.",
        ),
    ],
};

/// `[sessions]`.
pub static SESSIONS: TableDoc = TableDoc {
    header: "[sessions]",
    meaning: "What happens to session credentials that a client sends along. They are never stored. Without the table they pass.",
    fields: &[FieldDoc::required(
        "mode",
        "`pass`, `strip`, `refuse`",
        "They go on to the generator; or the request goes on without them; or it is refused with 403.",
    )],
};

/// `[networks]`.
pub static NETWORKS: TableDoc = TableDoc {
    header: "[networks]",
    meaning: "Which autonomous system announces an address, for `asns` and the scope `asn`.",
    fields: &[FieldDoc::required(
        "table",
        "file below the policy directory: `.mmdb` or `.csv`, with `.gz` behind it where it is packed; at most 64 MiB",
        "An MMDB whose records hold `autonomous_system_number` or `asn`, and perhaps `kind`; or CSV lines `prefix,asn,kind`. Kinds are `isp`, `mobile`, `hosting`, `paas`.",
    )],
};

/// `[shedding]`.
pub static SHEDDING: TableDoc = TableDoc {
    header: "[shedding]",
    meaning: "Who is refused first when there is more to do than the generators can.",
    fields: &[FieldDoc::required(
        "order",
        "list of tiers, at most 64",
        "The first goes first. Tiers that are not listed go after these, by class: `none`, `free`, `paid`. So do all without the table.",
    )],
};

/// `[viewbot]`.
pub static VIEWBOT: TableDoc = TableDoc {
    header: "[viewbot]",
    meaning: "View-bot detection: finds the excess in a room, tells it from a crowd, and stops the proxies behind it.",
    fields: &[
        FieldDoc::required(
            "mode",
            "`off`, `shadow`, `throttle`, `enforce`",
            "How far it may go. `throttle` denies nobody.",
        ),
        FieldDoc::defaults(
            "min-excess",
            "whole number from 1 to 1000000",
            "`10`",
            "How many viewers too many one room must have before anything is stopped.",
        ),
        FieldDoc::defaults(
            "known-age",
            "length of time",
            "`\"6h\"`",
            "A viewer is known who has signed for another room at least so long ago. Until a gateway has learned for twice this, half of that time is enough, and 15 minutes at least.",
        ),
        FieldDoc::optional("gate", "`[viewbot.gate]`", "When a room is looked at."),
        FieldDoc::optional("evidence", "`[viewbot.evidence]`", "What counts, and how much at most."),
        FieldDoc::optional("strangers", "`[viewbot.strangers]`", "A crowd of strangers."),
        FieldDoc::optional("ladder", "`[viewbot.ladder]`", "What is done, and for how long."),
    ],
};

/// `[viewbot.gate]`.
pub static VIEWBOT_GATE: TableDoc = TableDoc {
    header: "[viewbot.gate]",
    meaning: "A room is looked at when it gets more new viewers than is usual for it.",
    fields: &[
        FieldDoc::defaults(
            "burst",
            "whole number from 1 to 100000",
            "`10`",
            "How many new viewers too many.",
        ),
        FieldDoc::defaults("floor", "rate", "`\"3/min\"`", "New viewers that are never too many."),
        FieldDoc::defaults(
            "factor",
            "number from 1 to 100",
            "`2.0`",
            "Times the room's own baseline that is not too many.",
        ),
        FieldDoc::defaults(
            "baseline",
            "length of time",
            "`\"30m\"`",
            "Over how long the baseline is formed, and how long an alarm has to last to become usual.",
        ),
    ],
};

/// `[viewbot.evidence]`.
pub static VIEWBOT_EVIDENCE: TableDoc = TableDoc {
    header: "[viewbot.evidence]",
    meaning: "How much each kind of evidence can weigh, in bits; 0 switches it off.",
    fields: &[
        FieldDoc::defaults(
            "profile",
            "number from 0 to 16",
            "`4.0`",
            "More of one library and user agent than an ordinary crowd has.",
        ),
        FieldDoc::defaults(
            "network",
            "number from 0 to 16",
            "`3.0`",
            "More addresses of one network than an ordinary crowd has.",
        ),
        FieldDoc::defaults("identity-churn", "number from 0 to 16", "`3.5`", "Many viewers at one address."),
        FieldDoc::defaults("key-fan-in", "number from 0 to 16", "`4.0`", "One key at many addresses."),
        FieldDoc::defaults(
            "shared-free-key",
            "number from 0 to 16",
            "`3.0`",
            "A free key at several addresses.",
        ),
        FieldDoc::defaults(
            "pool-chain",
            "two numbers from 0 to 16, the second not below the first",
            "`[1.5, 4.0]`",
            "Newcomers who came from one room together, once and twice; the second also for strangers who meet in room after room.",
        ),
        FieldDoc::defaults(
            "carried",
            "number from 0 to 16",
            "`3.0`",
            "What stayed under the threshold in other rooms.",
        ),
        FieldDoc::defaults(
            "known-viewer",
            "number from -16 to 0",
            "`-2.0`",
            "What being known weighs against it.",
        ),
    ],
};

/// `[viewbot.strangers]`.
pub static VIEWBOT_STRANGERS: TableDoc = TableDoc {
    header: "[viewbot.strangers]",
    meaning: "A room that few known viewers visit convicts nobody; its strangers are put on a budget.",
    fields: &[
        FieldDoc::defaults(
            "fraction-of-usual",
            "number from 0 to 1",
            "`0.35`",
            "Below this share of the usual share of known viewers.",
        ),
        FieldDoc::defaults("budget", "rate", "`\"6/min\"`", "How many strangers are let in evenly."),
        FieldDoc::defaults("burst", "whole number from 1 to 100000", "`10`", "How many of them at once."),
    ],
};

/// `[viewbot.ladder]`.
pub static VIEWBOT_LADDER: TableDoc = TableDoc {
    header: "[viewbot.ladder]",
    meaning: "What is done at how many bits, and for how long.",
    fields: &[
        FieldDoc::defaults(
            "throttle-bits",
            "number from 0.1 to 64",
            "`2.2`",
            "From here on requests are throttled.",
        ),
        FieldDoc::defaults(
            "deny-bits",
            "number from 0.1 to 64, not below `throttle-bits`",
            "`3.2`",
            "From here on, and with two kinds of evidence, they are denied.",
        ),
        FieldDoc::defaults(
            "viewer-in-room",
            "length of time",
            "`\"15m\"`",
            "How long a viewer is denied in a room.",
        ),
        FieldDoc::optional("address", "`address = { … }`", "A whole address."),
        FieldDoc::optional(
            "address-profile",
            "`address-profile = { … }`",
            "New viewers of a profile at an address.",
        ),
        FieldDoc::optional("subnet-in-room", "`subnet-in-room = { … }`", "A subnet in a room."),
        FieldDoc::optional("key-in-room", "`key-in-room = { … }`", "A key in a room."),
    ],
};

/// `address` of the ladder.
pub static VIEWBOT_ADDRESS: TableDoc = TableDoc {
    header: "[viewbot.ladder.address]",
    meaning: "A whole address is denied.",
    fields: &[
        FieldDoc::defaults("ttl", "length of time", "`\"30m\"`", "How long, the first time."),
        FieldDoc::defaults("factor", "number from 1 to 16", "`2`", "How much longer for each further room."),
        FieldDoc::defaults("max", "length of time, not below `ttl`", "`\"24h\"`", "How long at most."),
        FieldDoc::defaults(
            "min-bad-share",
            "number from 0 to 1",
            "`0.5`",
            "Where at least this share of its viewers is convicted.",
        ),
    ],
};

/// `address-profile` of the ladder.
pub static VIEWBOT_ADDRESS_PROFILE: TableDoc = TableDoc {
    header: "[viewbot.ladder.address-profile]",
    meaning: "New viewers of a profile at an address are denied.",
    fields: &[
        FieldDoc::defaults("ttl", "length of time", "`\"30m\"`", "How long."),
        FieldDoc::defaults(
            "min-bad-share",
            "number from 0 to 1",
            "`0.3`",
            "Where at least this share of them is convicted.",
        ),
    ],
};

/// `subnet-in-room` of the ladder.
pub static VIEWBOT_SUBNET: TableDoc = TableDoc {
    header: "[viewbot.ladder.subnet-in-room]",
    meaning: "A subnet is denied in a room.",
    fields: &[
        FieldDoc::defaults(
            "addresses",
            "whole number from 2 to 256",
            "`4`",
            "Where at least so many of its addresses are seen.",
        ),
        FieldDoc::defaults(
            "min-bad-share",
            "number from 0 to 1",
            "`0.7`",
            "And at least this share of its viewers is convicted.",
        ),
        FieldDoc::defaults("ttl", "length of time", "`\"15m\"`", "How long."),
    ],
};

/// `key-in-room` of the ladder.
pub static VIEWBOT_KEY: TableDoc = TableDoc {
    header: "[viewbot.ladder.key-in-room]",
    meaning: "A key is denied in a room.",
    fields: &[FieldDoc::defaults("ttl", "length of time", "`\"1h\"`", "How long.")],
};
