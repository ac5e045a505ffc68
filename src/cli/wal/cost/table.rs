//! The model's results as text of at most 80 columns.

use std::fmt::Write as _;

use super::assumptions::Assumptions;
use super::model::{EngineKind, Estimate, FILL};

/// Everything: what is assumed, a table for each engine, and what the marks mean.
pub(super) fn text(assumed: &Assumptions, estimates: &[Estimate]) -> String {
    let mut text = preface(assumed);
    for engine in EngineKind::ALL {
        let _infallible = write!(text, "\n{}\n{}", title(engine, assumed), head());
        for one in estimates.iter().filter(|one| one.engine == engine) {
            text.push_str(&row(one));
        }
    }
    text.push_str(
        "\nlogs: one for each node, and more (*) if one append at a time, filled to four\n\
         fifths, cannot take the events. CPU: above 100 % the nodes cannot do it. each:\n\
         bytes of an append. answer: how long it waits for its append, on average.\n\
         requests, bytes and dollars: a month; only those that are paid for, and without\n\
         the nodes and the lake, which cost the same wherever the log is.\n",
    );
    text
}

fn preface(assumed: &Assumptions) -> String {
    let Assumptions { incoming, node, .. } = assumed;
    format!(
        "Assumed: events of {} bytes, {} in a request, {} times smaller in the log once\n\
         a frame has 16 KiB of them; frames of up to {} MiB; in the lake after {} s;\n\
         nodes of {} processors, {} microseconds for an event. `--help` names the\n\
         arguments that change this.\n",
        incoming.event_bytes,
        incoming.events_per_request,
        incoming.ratio,
        node.frame_mib,
        node.ship_seconds,
        node.cores,
        node.event_micros
    )
}

fn title(engine: EngineKind, assumed: &Assumptions) -> String {
    let Assumptions { disk, s3, nats, .. } = assumed;
    match engine {
        EngineKind::Disk => format!(
            "disk: a volume on each node, ${} a month; a sync takes {} ms, and {} MiB a second\n\
             are written",
            disk.disk_price, disk.disk_millis, disk.disk_mib
        ),
        EngineKind::S3 => format!(
            "s3: a PUT every {} ms takes {} ms, at {} MiB a second; ${} for a thousand,\n\
             ${} a month for a GB",
            s3.s3_interval_millis, s3.s3_millis, s3.s3_mib, s3.s3_put_price, s3.s3_gb_price
        ),
        EngineKind::Nats => format!(
            "nats: an append takes {} ms, at {} MiB a second; three servers, ${} each,\n\
             for every {:.0} MiB a second; ${} for a GB between zones",
            nats.nats_millis,
            nats.nats_mib,
            nats.nats_price,
            FILL * nats.nats_cluster_mib,
            nats.zone_gb_price
        ),
    }
}

fn head() -> String {
    format!(
        "{:>10} {:>5} {:>5} {:>5}{:>10}{:>7}{:>8}{:>10}{:>8}{:>8}\n",
        "events/s", "nodes", "logs", "CPU", "appends/s", "each", "answer", "requests", "bytes", "$"
    )
}

fn row(one: &Estimate) -> String {
    let requests = match one.engine {
        EngineKind::S3 => short(one.requests_per_month),
        EngineKind::Disk | EngineKind::Nats => "–".to_owned(),
    };
    let more = if one.logs > one.nodes { '*' } else { ' ' };
    format!(
        "{:>10} {:>5} {:>5}{more}{:>4.0}%{:>10}{:>7}{:>6.0}ms{:>10}{:>8}{:>8}\n",
        short(one.events_per_second),
        one.nodes,
        one.logs,
        (one.busy * 100.0).ceil(),
        short(one.appends_per_second),
        short(one.append_bytes),
        one.answer_millis.ceil(),
        requests,
        short(one.bytes_per_month),
        short(one.dollars_per_month),
    )
}

/// A number in three digits, with a letter for its thousands.
fn short(number: f64) -> String {
    let mut rest = number;
    let mut letters = ["", "k", "M", "G", "T", "P", "E"].into_iter();
    let mut letter = letters.next().unwrap_or_default();
    while rest >= 999.5 {
        let Some(next) = letters.next() else { break };
        rest /= 1000.0;
        letter = next;
    }
    let digits = match rest {
        _ if rest >= 99.95 => 0,
        _ if rest >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{rest:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{letter}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        for (number, expected) in [
            (0.0, "0"),
            (0.005, "0.01"),
            (4.0, "4"),
            (52.04, "52"),
            (999.7, "1k"),
            (1000.0, "1k"),
            (1234.0, "1.23k"),
            (10_368_000.0, "10.4M"),
            (1e7, "10M"),
            (100.0, "100"),
        ] {
            assert_eq!(short(number), expected, "{number}");
        }
    }
}
