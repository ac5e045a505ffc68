//! Times as people and engines write them. Pure.

use lakehook_base::clock::Micros;
use lakehook_base::rfc3339;

/// A time as text: RFC 3339, without an offset in UTC, or a day, which begins then.
pub(super) fn time_of(text: &str) -> Option<Micros> {
    let text = text.trim();
    let day = text.len() == 10 && text.is_ascii();
    if day {
        return rfc3339::parse(&format!("{text}T00:00:00Z"));
    }
    let joined = text.replacen(' ', "T", 1);
    rfc3339::parse(&joined).or_else(|| rfc3339::parse(&format!("{joined}Z")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_and_engines_write_them() {
        let noon = Micros(1_769_860_800_000_000);
        for text in [
            "2026-01-31T12:00:00Z",
            "2026-01-31T13:00:00+01:00",
            "2026-01-31 12:00:00",
            "2026-01-31T12:00:00",
            "2026-01-31 12:00:00.000",
        ] {
            assert_eq!(time_of(text), Some(noon), "{text}");
        }
        assert_eq!(time_of("2026-01-31"), Some(Micros(noon.0 - 43_200_000_000)));
        for text in ["", "soon", "2026-13-01", "12"] {
            assert_eq!(time_of(text), None, "{text}");
        }
    }
}
