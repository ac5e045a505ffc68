//! Figures and times as people read them.

use std::time::Duration;

use maud::{Markup, html};

use crate::clock::Micros;

/// A narrow space that does not break.
const THIN: char = '\u{202f}';

/// A number with its digits in groups of three.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(THIN);
        }
        text.push(digit);
    }
    text
}

/// A number of things, with their name.
pub(super) fn counted(number: u64, one: &str, many: &str) -> String {
    format!(
        "{}\u{a0}{}",
        count(number),
        if number == 1 { one } else { many }
    )
}

/// A size.
#[allow(clippy::cast_precision_loss, reason = "figures for people")]
pub(super) fn bytes(size: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if size < 1024 {
        return format!("{size}\u{a0}B");
    }
    let mut scaled = size as f64 / 1024.0;
    let mut unit = 0;
    while scaled >= 1000.0 && unit + 1 < UNITS.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(scaled < 100.0);
    format!("{scaled:.digits$}\u{a0}{}", UNITS[unit])
}

/// So many in a second.
#[allow(
    clippy::cast_sign_loss,
    reason = "rates are not negative; conversion from a float saturates"
)]
pub(super) fn rate(per_second: f64) -> String {
    if per_second >= 100.0 {
        format!("{}/s", count(per_second.round() as u64))
    } else if per_second >= 10.0 {
        format!("{per_second:.0}/s")
    } else if per_second >= 0.05 {
        format!("{per_second:.1}/s")
    } else if per_second > 0.0 {
        "<0.1/s".to_owned()
    } else {
        "0/s".to_owned()
    }
}

/// A share of a whole in percent.
#[allow(clippy::cast_precision_loss, reason = "figures for people")]
pub(super) fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let percent = part as f64 * 100.0 / whole as f64;
    match percent {
        _ if part == 0 => "0\u{a0}%".to_owned(),
        percent if percent < 0.1 => "<0.1\u{a0}%".to_owned(),
        percent if percent < 10.0 => format!("{percent:.1}\u{a0}%"),
        percent => format!("{percent:.0}\u{a0}%"),
    }
}

/// A length of time, in at most two units.
pub(super) fn duration(length: Duration) -> String {
    let seconds = length.as_secs();
    let two = |large: u64, unit: &str, small: u64, other: &str| match small {
        0 => format!("{large}\u{a0}{unit}"),
        small => format!("{large}\u{a0}{unit} {small}\u{a0}{other}"),
    };
    match seconds {
        0..10 => format!("{:.1}\u{a0}s", length.as_secs_f64()),
        10..60 => format!("{seconds}\u{a0}s"),
        60..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => two(seconds / 3600, "h", seconds / 60 % 60, "min"),
        _ => two(seconds / 86_400, "d", seconds / 3600 % 24, "h"),
    }
}

/// A time in UTC, to the second.
pub(super) fn time(at: Micros) -> Markup {
    time_text(&at.to_string())
}

/// A time that is text, such as in a row, to the second; any other text as it is.
pub(super) fn time_text(text: &str) -> Markup {
    html! { time datetime=(text) title=(text) { (plain_time(text)) } }
}

fn plain_time(text: &str) -> String {
    match (text.get(..10), text.get(10..11), text.get(11..19)) {
        (Some(day), Some("T"), Some(clock)) => format!("{day} {clock}"),
        _ => text.to_owned(),
    }
}

/// The beginning of a text that may be long.
pub(super) fn beginning(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        for (number, shown) in [
            (0, "0"),
            (999, "999"),
            (1000, "1\u{202f}000"),
            (1_234_567, "1\u{202f}234\u{202f}567"),
        ] {
            assert_eq!(count(number), shown);
        }
        for (size, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (100 << 20, "100 MiB"),
            (10 << 30, "10.0 GiB"),
        ] {
            assert_eq!(bytes(size).replace('\u{a0}', " "), shown);
        }
        for (per_second, shown) in [
            (0.0, "0/s"),
            (0.01, "<0.1/s"),
            (2.54, "2.5/s"),
            (42.4, "42/s"),
            (1234.0, "1\u{202f}234/s"),
        ] {
            assert_eq!(rate(per_second), shown);
        }
        for (part, whole, shown) in [
            (0, 0, "–"),
            (0, 5, "0 %"),
            (1, 9_000, "<0.1 %"),
            (1, 40, "2.5 %"),
            (1, 2, "50 %"),
        ] {
            assert_eq!(share(part, whole).replace('\u{a0}', " "), shown);
        }
    }

    #[test]
    fn times_have_two_units_at_most() {
        for (millis, shown) in [
            (0, "0.0 s"),
            (9_940, "9.9 s"),
            (59_000, "59 s"),
            (60_000, "1 min"),
            (250_000, "4 min 10 s"),
            (7_500_000, "2 h 5 min"),
            (100_000_000, "1 d 3 h"),
        ] {
            let length = Duration::from_millis(millis);
            assert_eq!(duration(length).replace('\u{a0}', " "), shown);
        }
        assert_eq!(
            plain_time("2026-11-29T12:30:15.000001Z"),
            "2026-11-29 12:30:15"
        );
        assert_eq!(
            plain_time("é-no time at all, I say"),
            "é-no time at all, I say"
        );
        assert_eq!(beginning("añb", 2), "añ…");
    }
}
