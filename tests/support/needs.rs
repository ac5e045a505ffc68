//! What some tests need of the machine, and what happens where it is missing.
//!
//! Such a test prints one line that starts with `skipped:` and passes, unless `LAKEHOOK_REQUIRE` names its
//! need: then it fails. The variable holds names separated by commas, or `all`. `make setup` installs what
//! can be installed, and `.ci/run` requires what the machine then has.

/// Names the needs that must be met.
const REQUIRE: &str = "LAKEHOOK_REQUIRE";

/// Something that a machine may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Root, `mkfs.ext4` and loop devices, to mount a file system of one's own.
    LoopMounts,
    /// The library that moves the clock of a process.
    Libfaketime,
    /// The files of nst/JSONTestSuite.
    JsonSuite,
    /// The tool that counts instructions.
    Valgrind,
    /// Root, to make a network namespace.
    Namespaces,
    /// Node.js, with the clients of `tests/node`.
    Node,
    /// A browser.
    Chromium,
    /// A curl that speaks HTTP/2.
    CurlHttp2,
    /// A directory of payloads.
    Payloads,
    /// Instruction counts that were recorded with the compiler in use.
    RecordedCounts,
    /// The tool that checks systemd's units.
    Systemd,
    /// The tool that checks and tests Prometheus' rules.
    Promtool,
    /// The tool that renders charts.
    Helm,
    /// A PostgreSQL server that can be started.
    Postgresql,
    /// The tool that ends a program at its n-th call of the system.
    Strace,
    /// A server of NATS.
    NatsServer,
}

impl Need {
    pub(crate) const ALL: [Self; 16] = [
        Self::LoopMounts,
        Self::Libfaketime,
        Self::JsonSuite,
        Self::Valgrind,
        Self::Namespaces,
        Self::Node,
        Self::Chromium,
        Self::CurlHttp2,
        Self::Payloads,
        Self::RecordedCounts,
        Self::Systemd,
        Self::Promtool,
        Self::Helm,
        Self::Postgresql,
        Self::Strace,
        Self::NatsServer,
    ];

    /// Its name in `LAKEHOOK_REQUIRE`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::LoopMounts => "loop-mounts",
            Self::Libfaketime => "libfaketime",
            Self::JsonSuite => "json-suite",
            Self::Valgrind => "valgrind",
            Self::Namespaces => "namespaces",
            Self::Node => "node",
            Self::Chromium => "chromium",
            Self::CurlHttp2 => "curl-http2",
            Self::Payloads => "payloads",
            Self::RecordedCounts => "recorded-counts",
            Self::Systemd => "systemd",
            Self::Promtool => "promtool",
            Self::Helm => "helm",
            Self::Postgresql => "postgresql",
            Self::Strace => "strace",
            Self::NatsServer => "nats-server",
        }
    }

    /// Skips the test that calls this and then returns: prints why, or panics if the need is required.
    pub(crate) fn skip(self, why: &str) {
        let setting = std::env::var(REQUIRE).unwrap_or_default();
        let required = required(&setting).unwrap();
        let name = self.name();
        assert!(
            !required.contains(&self),
            "{REQUIRE}={setting} asks for {name}, but {why}"
        );
        println!("skipped: {why} ({name})");
    }
}

/// The needs that a value of `LAKEHOOK_REQUIRE` names.
///
/// # Errors
///
/// The first name that is unknown, with the known ones: a misspelt name would require nothing.
pub(crate) fn required(setting: &str) -> Result<Vec<Need>, String> {
    let names = setting.split(',').map(str::trim);
    let mut required = Vec::new();
    for name in names.filter(|name| !name.is_empty()) {
        if name == "all" {
            return Ok(Need::ALL.to_vec());
        }
        let Some(need) = Need::ALL.into_iter().find(|need| need.name() == name) else {
            let known = Need::ALL.map(Need::name).join(", ");
            return Err(format!(
                "{REQUIRE} names {name:?}; it takes {known}, and all"
            ));
        };
        required.push(need);
    }
    Ok(required)
}
