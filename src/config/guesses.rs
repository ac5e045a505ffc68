//! Keys that people guess, or know from other programs, and what they want with them.

/// A key that does not exist.
struct Guess {
    /// The section, or the kind of section, such as `poll` for `[poll.users]`; empty for the sections themselves.
    section: &'static str,
    names: &'static [&'static str],
    advice: &'static str,
}

const GUESSES: &[Guess] = &[
    Guess {
        section: "",
        names: &["webhook", "webhooks", "http"],
        advice: "the listener is set in [server], the contract in [events], and a provider's webhook in [hook.NAME]",
    },
    Guess {
        section: "",
        names: &["retain", "retention", "erase"],
        advice: "days leave the lake by a command that you schedule: `lakehook retain --older-than 400d`",
    },
    Guess {
        section: "",
        names: &["sink", "sinks", "output", "s3", "storage", "destination"],
        advice: "where rows go is set in [lake]: url = \"s3://bucket/prefix\", or a directory",
    },
    Guess {
        section: "",
        names: &[
            "clusters",
            "nodes",
            "ha",
            "raft",
            "replication",
            "high_availability",
        ],
        advice: "several nodes share one log with [cluster]: name, address and secret_file; wal.replica names where that is",
    },
    Guess {
        section: "cluster",
        names: &[
            "nodes", "peers", "members", "seeds", "servers", "hosts", "join", "size", "replicas",
        ],
        advice: "nodes find each other by the log in wal.replica, so they are not listed; each has an address of its own",
    },
    Guess {
        section: "cluster",
        names: &[
            "listen",
            "bind",
            "port",
            "host",
            "advertise",
            "advertise_address",
            "ip",
        ],
        advice: "where a node listens and where the others reach it are one key: address = \"10.0.0.5:4100\"",
    },
    Guess {
        section: "cluster",
        names: &[
            "secret",
            "token",
            "key",
            "password",
            "secrets_file",
            "shared_secret",
        ],
        advice: "the secret is in a file of its own: secret_file = \"cluster.secret\"",
    },
    Guess {
        section: "cluster",
        names: &["replica", "log", "url", "nats"],
        advice: "where the log is kept is set by wal.replica",
    },
    Guess {
        section: "cluster",
        names: &[
            "timeout",
            "election_timeout",
            "heartbeat",
            "failover",
            "failover_after",
        ],
        advice: "when a node takes the log over is set by takeover_after = \"5s\"",
    },
    Guess {
        section: "cluster",
        names: &["id", "node", "node_id", "node_name"],
        advice: "a node is known by its address; name is that of the cluster, the same on each node",
    },
    Guess {
        section: "server",
        names: &["port", "host", "address", "bind"],
        advice: "address and port are one key: listen = \"0.0.0.0:4000\"",
    },
    Guess {
        section: "server",
        names: &["api_key", "api_keys", "auth", "bearer", "password"],
        advice: "who may send is set by tokens_file, with one token a line, or by tokens",
    },
    Guess {
        section: "lake",
        names: &["bucket", "path", "dir", "directory", "prefix", "uri"],
        advice: "the place is one key: url = \"s3://bucket/prefix\", or a directory",
    },
    Guess {
        section: "lake",
        names: &[
            "access_key",
            "access_key_id",
            "secret_access_key",
            "secret_key",
            "session_token",
            "profile",
        ],
        advice: "credentials are read as AWS tools read them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
                 AWS_PROFILE, or the role of the machine",
    },
    Guess {
        section: "lake",
        names: &["format", "compression", "partition"],
        advice: "the format is set by batch.format, partitions by events.partition",
    },
    Guess {
        section: "hook",
        names: &["provider", "kind", "signature"],
        advice: "how the provider signs is set by scheme, such as scheme = \"github\"",
    },
    Guess {
        section: "poll",
        names: &["token", "api_key", "bearer", "authorization"],
        advice: "credentials have a section: [poll.NAME.auth] with type = \"bearer\" and token_file",
    },
    Guess {
        section: "poll",
        names: &["interval", "schedule"],
        advice: "when it runs is set by every = \"1h\", or by cron = \"0 3 * * *\"",
    },
    Guess {
        section: "files",
        names: &["dir", "directory", "inbox", "glob", "pattern", "url"],
        advice: "which files are taken is set by path, such as path = \"inbox/orders/*.csv\"",
    },
    Guess {
        section: "files",
        names: &["delimiter", "header", "quote", "encoding", "charset"],
        advice: "what only files of values have is set in [files.NAME.csv]",
    },
];

/// What somebody wants who writes this key into this section.
pub(super) fn advice(section: &[String], name: &str) -> Option<&'static str> {
    let kind = section.first().map_or("", String::as_str);
    // `polls` is the section of all polls, and `poll` that of each of them.
    let name = name.to_lowercase();
    let guesses = GUESSES.iter();
    let mut fitting =
        guesses.filter(|guess| guess.section == kind && guess.names.contains(&&*name));
    fitting.next().map(|guess| guess.advice)
}

/// What to do about a text that is not TOML, by the line that is wrong and what the parser says.
pub(super) fn advice_on_toml(line: &str, message: &str) -> Option<&'static str> {
    let line = line.trim_start();
    let (before, value) = line.split_once('=').unwrap_or((line, ""));
    let value = value.trim_start();
    Some(if message.contains("duplicate key") {
        "write each key and each section once; settings of one section stand together"
    } else if message.contains("escape") {
        "in double quotes a backslash is written twice; in single quotes it stands for itself"
    } else if line.contains(['\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}']) {
        "use straight quotes, as in url = \"data/lake\""
    } else if line.starts_with('{') {
        "this looks like JSON; write sections as [server], and settings as key = value"
    } else if before.contains(':') && !before.contains('"') {
        "write key = value instead of key: value, and sections as [server]"
    } else if message.contains("string")
        && value.starts_with(|c: char| c.is_alphabetic() || c == '/')
    {
        "put text in quotes, as in url = \"data/lake\""
    } else {
        return None;
    })
}
