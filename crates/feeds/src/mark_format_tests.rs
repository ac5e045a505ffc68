#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::watermark::Lag;

fn format(text: &str) -> MarkFormat {
    MarkFormat::parse(text, Tz::UTC).unwrap()
}

fn in_zone(text: &str, zone: &str) -> MarkFormat {
    MarkFormat::parse(text, zone.parse().unwrap()).unwrap()
}

fn time(text: &str) -> Mark {
    rfc3339_time(text).unwrap()
}

#[test]
#[allow(clippy::too_many_lines, reason = "it is one table")]
fn every_format_is_read_and_written() {
    for (name, raw, at, written) in [
        (
            "rfc3339",
            "\"2026-11-25T01:00:00+01:00\"",
            "2026-11-25T00:00:00Z",
            "2026-11-25T00:00:00.000000Z",
        ),
        (
            "rfc3339",
            "\"2026-11-25T01:00:00.5+0100\"",
            "2026-11-25T00:00:00.5Z",
            "2026-11-25T00:00:00.500000Z",
        ),
        ("s", "1795613655", "2026-11-25T13:34:15Z", "1795613655"),
        ("s", "\"1795613655\"", "2026-11-25T13:34:15Z", "1795613655"),
        (
            "ms",
            "1795613655123",
            "2026-11-25T13:34:15.123Z",
            "1795613655123",
        ),
        (
            "us",
            "1795613655123456",
            "2026-11-25T13:34:15.123456Z",
            "1795613655123456",
        ),
        (
            "ns",
            "1795613655123456789",
            "2026-11-25T13:34:15.123456Z",
            "1795613655123456000",
        ),
        (
            "s-float",
            "1795613655.123456",
            "2026-11-25T13:34:15.123456Z",
            "1795613655.123456",
        ),
        (
            "s-float",
            "\"1.795613655e9\"",
            "2026-11-25T13:34:15Z",
            "1795613655.000000",
        ),
        ("s-float", "-0.5", "1969-12-31T23:59:59.5Z", "-0.500000"),
        (
            "date",
            "\"2026-11-25\"",
            "2026-11-25T00:00:00Z",
            "2026-11-25",
        ),
        (
            "naive",
            "\"2026-11-25T13:34:15.9\"",
            "2026-11-25T13:34:15.9Z",
            "2026-11-25T13:34:15",
        ),
        (
            "naive",
            "\"2026-11-25 13:34:15\"",
            "2026-11-25T13:34:15Z",
            "2026-11-25T13:34:15",
        ),
        (
            "rfc2822",
            "\"Wed, 25 Nov 2026 14:34:15 +0100\"",
            "2026-11-25T13:34:15Z",
            "Wed, 25 Nov 2026 13:34:15 GMT",
        ),
        (
            "rfc2822",
            "\"Wed, 25 Nov 2026 13:34:15 GMT\"",
            "2026-11-25T13:34:15Z",
            "Wed, 25 Nov 2026 13:34:15 GMT",
        ),
        (
            "dotnet",
            r#""\/Date(1795613655123)\/""#,
            "2026-11-25T13:34:15.123Z",
            "/Date(1795613655123)/",
        ),
        (
            "dotnet",
            "\"/Date(1795613655123+0100)/\"",
            "2026-11-25T13:34:15.123Z",
            "/Date(1795613655123)/",
        ),
        (
            "dotnet",
            "\"/Date(-1)/\"",
            "1969-12-31T23:59:59.999Z",
            "/Date(-1)/",
        ),
        (
            "%d/%m/%Y %H:%M",
            "\"25/11/2026 13:34\"",
            "2026-11-25T13:34:00Z",
            "25/11/2026 13:34",
        ),
        ("%Y%m%d", "\"20261125\"", "2026-11-25T00:00:00Z", "20261125"),
        (
            "%Y-%m-%dT%H:%M:%S%.3f%z",
            "\"2026-11-25T14:34:15.120+0100\"",
            "2026-11-25T13:34:15.12Z",
            "2026-11-25T13:34:15.120+0000",
        ),
    ] {
        let format = format(name);
        let mark = format.read(raw).unwrap();
        assert_eq!(mark, Some(time(at)), "{name} {raw}");
        assert_eq!(format.write(&mark.unwrap()), written, "{name} {raw}");
        let remembered = time(at).to_string();
        assert_eq!(
            format.read_remembered(&remembered),
            Some(time(at)),
            "{name}"
        );
        assert_eq!(format.read_given(at), Some(time(at)), "{name}");
    }
    for (name, raw, mark) in [
        ("serial", "1795613655", Mark::Serial(1_795_613_655)),
        (
            "serial",
            "\"18446744073709551615\"",
            Mark::Serial(i128::from(u64::MAX)),
        ),
        ("text", "\"2026-W48\"", Mark::Text("2026-W48".to_owned())),
    ] {
        let format = format(name);
        assert_eq!(format.read(raw).unwrap(), Some(mark.clone()), "{name}");
        assert_eq!(
            format.read_remembered(&mark.to_string()),
            Some(mark),
            "{name}"
        );
    }
}

#[test]
fn what_is_not_of_a_format_is_no_mark() {
    for (name, raws) in [
        (
            "rfc3339",
            &["1795613655", "\"2026-11-25\"", "null", "{}"][..],
        ),
        (
            "s",
            &[
                "\"2026-11-25T00:00:00Z\"",
                "true",
                "1795613655123456",
                "\"\"",
                "1e999",
            ],
        ),
        ("ms", &["\"x\"", "-", "null"]),
        ("serial", &["1.5", "1e3", "\"\"", "null"]),
        ("text", &["\"\"", "17", "null"]),
        ("date", &["\"2026-11-25T00:00:00Z\"", "20261125"]),
        ("naive", &["\"2026-11-25T00:00:00Z\"", "\"2026-11-25\""]),
        ("rfc2822", &["\"2026-11-25T00:00:00Z\""]),
        (
            "dotnet",
            &["\"/Date()/\"", "\"/Date(x)/\"", "1795613655123"],
        ),
        ("%Y%m%d", &["20261125", "\"2026\""]),
    ] {
        for raw in raws {
            assert_eq!(format(name).read(raw), Ok(None), "{name} {raw}");
        }
    }
    for wrong in ["", "seconds", "RFC3339", "%Q", "%H:%M", "%Y"] {
        assert!(MarkFormat::parse(wrong, Tz::UTC).is_err(), "{wrong}");
    }
}

#[test]
fn a_number_that_may_be_a_time_is_not_guessed() {
    let undeclared = MarkFormat::Undeclared;
    for (raw, mark) in [("17", 17), ("\"-3\"", -3), ("99999999", 99_999_999)] {
        assert_eq!(undeclared.read(raw), Ok(Some(Mark::Serial(mark))));
    }
    for raw in ["1795613655", "\"1795613655123\"", "100000000"] {
        assert!(undeclared.read(raw).is_err(), "{raw}");
    }
    assert_eq!(undeclared.read("1.5"), Ok(None));
    // What an earlier version has remembered is still known.
    let old = Some(Mark::Serial(1_795_613_655));
    assert_eq!(undeclared.read_remembered("1795613655"), old);
    let seconds = format("s").read_remembered("1795613655");
    assert_eq!(seconds, Some(time("2026-11-25T13:34:15Z")));
}

#[test]
fn the_lag_of_milliseconds_is_a_time() {
    let format = format("ms");
    let mark = format.read("1795613655123").unwrap().unwrap();
    let lag = Lag {
        time: Duration::from_secs(60),
        count: 60,
    };
    assert_eq!(format.write(&mark.minus(lag)), "1795613595123");
}

#[test]
fn a_zone_without_offsets_loses_no_hour() {
    let berlin = in_zone("naive", "Europe/Berlin");
    let read = |text: &str| berlin.read(&format!("\"{text}\"")).unwrap().unwrap();
    assert_eq!(read("2026-07-01T02:00:00"), time("2026-07-01T00:00:00Z"));
    // The clock shows it never: the earlier reading counts.
    assert_eq!(read("2026-03-29T02:30:00"), time("2026-03-29T00:30:00Z"));
    // The clock shows it twice: the first time counts, and the next run asks from before that hour.
    let twice = read("2026-10-25T02:30:00");
    assert_eq!(twice, time("2026-10-25T00:30:00Z"));
    assert_eq!(berlin.write(&twice), "2026-10-25T01:30:00");
    assert_eq!(
        berlin.write(&time("2026-10-25T02:30:00Z")),
        "2026-10-25T03:30:00"
    );
    let day = in_zone("date", "America/New_York");
    assert_eq!(day.write(&time("2026-11-25T04:00:00Z")), "2026-11-24");
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_and_is_never_later(micros in -60_000_000_000_000_000_i64..250_000_000_000_000_000) {
        let mark = Mark::Time(Micros(micros));
        for name in ["rfc3339", "s", "ms", "us", "ns", "s-float", "date", "rfc2822", "dotnet", "%Y-%m-%d %H:%M"] {
            let format = format(name);
            let written = format.write(&mark);
            let back = format.read(&format!("\"{written}\"")).unwrap();
            let Some(Mark::Time(back)) = back else {
                // The year of a date has four digits in RFC 2822.
                prop_assert!(micros < 0, "{} {}", name, written);
                continue;
            };
            prop_assert!(back.0 <= micros && micros - back.0 < 86_400_000_000, "{} {}", name, written);
        }
    }

    #[test]
    fn no_value_panics(text in "\\PC{0,40}") {
        for name in ["rfc3339", "s", "ns", "serial", "text", "date", "naive", "rfc2822", "dotnet", "%d %b %Y %z"] {
            let format = format(name);
            _ = (format.read(&text), format.read(&format!("\"{text}\"")), format.read_given(&text));
        }
    }
}
