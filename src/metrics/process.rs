//! Which build this is, and what the operating system says of the process, under the names that all exporters use.

use metrics::{Gauge, Label, describe_gauge};

use crate::clock::Micros;

/// The metrics of the process.
pub(super) struct ProcessMetrics {
    cpu_seconds: Gauge,
    open_fds: Gauge,
    max_fds: Gauge,
    resident_bytes: Gauge,
    virtual_bytes: Gauge,
    threads: Gauge,
    start: Gauge,
}

impl ProcessMetrics {
    pub(super) fn register() -> Self {
        let labels = vec![
            Label::new("version", env!("CARGO_PKG_VERSION")),
            Label::new("commit", env!("LAKEHOOK_COMMIT")),
        ];
        metrics::gauge!("lakehook_build_info", labels).set(1.0);
        Self {
            cpu_seconds: metrics::gauge!("process_cpu_seconds_total"),
            open_fds: metrics::gauge!("process_open_fds"),
            max_fds: metrics::gauge!("process_max_fds"),
            resident_bytes: metrics::gauge!("process_resident_memory_bytes"),
            virtual_bytes: metrics::gauge!("process_virtual_memory_bytes"),
            threads: metrics::gauge!("process_threads"),
            start: metrics::gauge!("process_start_time_seconds"),
        }
    }

    /// The system may hide when the process was started, so that the program says it.
    pub(super) fn started(&self, at: Micros) {
        self.start.set(at.since(Micros(0)).as_secs_f64());
    }

    /// Asks the operating system. What it does not say stays as it was.
    pub(super) fn refresh(&self) {
        let Said {
            cpu_seconds,
            virtual_bytes,
            resident_bytes,
            threads,
        } = Said::read();
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        for (gauge, figure) in [
            (&self.cpu_seconds, cpu_seconds),
            (&self.virtual_bytes, virtual_bytes),
            (&self.resident_bytes, resident_bytes),
            (&self.threads, threads),
            (&self.open_fds, open_descriptors().map(as_gauge)),
            (&self.max_fds, limit.current.map(as_gauge)),
        ] {
            if let Some(figure) = figure {
                gauge.set(figure);
            }
        }
    }
}

/// What the files of the process in /proc say.
#[derive(Debug, Default, PartialEq)]
struct Said {
    cpu_seconds: Option<f64>,
    virtual_bytes: Option<f64>,
    resident_bytes: Option<f64>,
    threads: Option<f64>,
}

impl Said {
    #[allow(
        clippy::disallowed_methods,
        reason = "asks the operating system about this process"
    )]
    fn read() -> Self {
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        Self::of(&text("/proc/self/stat"), &text("/proc/self/status"))
    }

    /// Reads both files (proc_pid_stat(5), proc_pid_status(5)).
    fn of(stat: &str, status: &str) -> Self {
        // The name of the program comes first, in parentheses, and may hold spaces and parentheses.
        let behind_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let mut ticks = behind_name.split_whitespace().skip(TIMES);
        let mut next = || ticks.next()?.parse::<u64>().ok();
        let (user, system) = (next(), next());
        let line = |name: &str| {
            let mut lines = status.lines();
            let rest = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            rest.split_whitespace().next()?.parse::<u64>().ok()
        };
        let kib = |name: &str| line(name).map(|kib| as_gauge(kib << 10));
        let seconds = |ticks: u64| as_gauge(ticks) / as_gauge(TICKS_PER_SECOND);
        Self {
            cpu_seconds: user
                .zip(system)
                .map(|(user, system)| seconds(user + system)),
            virtual_bytes: kib("VmSize"),
            resident_bytes: kib("VmRSS"),
            threads: line("Threads").map(as_gauge),
        }
    }
}

/// How many fields lie between the program's name and its times.
const TIMES: usize = 11;
/// The kernel counts these times in ticks; there are 100 in a second on each architecture that this program is built for.
const TICKS_PER_SECOND: u64 = 100;

#[allow(
    clippy::disallowed_methods,
    reason = "asks the operating system about this process"
)]
fn open_descriptors() -> Option<u64> {
    // One of them is that of the listing.
    let listed = std::fs::read_dir("/proc/self/fd").ok()?.count();
    Some(listed.saturating_sub(1) as u64)
}

#[allow(
    clippy::cast_precision_loss,
    reason = "gauges are floats; a byte in 2^53 does not matter"
)]
fn as_gauge(figure: u64) -> f64 {
    figure as f64
}

pub(super) fn describe() {
    describe_gauge!(
        "lakehook_build_info",
        "1; the labels say which build this is"
    );
    describe_gauge!(
        "process_cpu_seconds_total",
        "Seconds of processor time, of user and system"
    );
    describe_gauge!("process_open_fds", "Open file descriptors");
    describe_gauge!("process_max_fds", "The most file descriptors");
    describe_gauge!("process_resident_memory_bytes", "Memory in use");
    describe_gauge!("process_virtual_memory_bytes", "Addresses in use");
    describe_gauge!("process_threads", "Threads");
    describe_gauge!("process_start_time_seconds", "Unix time of the start");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_system_are_read() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 500 0 0 0 250 50 0 0 20 0 9 0 100 10000000 300 18446744073709551615";
        let status = "Name:\ta ) b\nVmSize:\t   10240 kB\nVmRSS:\t    2048 kB\nThreads:\t9\n";
        let said = Said {
            cpu_seconds: Some(3.0),
            virtual_bytes: Some(10_485_760.0),
            resident_bytes: Some(2_097_152.0),
            threads: Some(9.0),
        };
        assert_eq!(Said::of(stat, status), said);
        assert_eq!(Said::of("", "nonsense"), Said::default());
        let now = Said::read();
        assert!(now.resident_bytes > Some(1_000_000.0), "{now:?}");
        assert!(
            now.cpu_seconds.is_some() && now.threads >= Some(1.0),
            "{now:?}"
        );
        assert!(open_descriptors() >= Some(3));
    }
}
