//! Plots, as SVG: one line and the area below it.

use std::fmt::Write as _;

use maud::{Markup, html};

/// The size of a plot in its own units; on the page it takes the space that there is.
const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 72.0;
/// More points than this cannot be told apart.
const MAX_POINTS: usize = 160;
/// A plot is at least so many values wide: two minutes.
const MIN_SPAN: usize = 24;

/// How many values the whole width of a plot is: those that there are, but not so few that they look like more.
pub(super) fn span(values: usize) -> usize {
    values.max(MIN_SPAN)
}

/// The path of a line through values, the newest at the right. `span` is how many values the whole width is.
pub(super) fn line(values: &[f64], span: usize) -> String {
    let step = values.len().div_ceil(MAX_POINTS).max(1);
    let peaks: Vec<f64> = values.rchunks(step).rev().map(peak).collect();
    let span = span.div_ceil(step).max(peaks.len()).max(2);
    let highest = peak(&peaks);
    let mut path = String::new();
    let first = span - peaks.len();
    for (at, value) in peaks.iter().enumerate() {
        let x = position(first + at, span - 1);
        // A little room at the top, so that the line is not cut.
        let y = if highest > 0.0 {
            HEIGHT - value / highest * (HEIGHT - 4.0) - 1.0
        } else {
            HEIGHT - 1.0
        };
        let step = if at == 0 { 'M' } else { 'L' };
        let _cannot_fail = write!(path, "{step}{x:.1} {y:.1}");
    }
    path
}

#[allow(clippy::cast_precision_loss, reason = "a few hundred points")]
fn position(at: usize, last: usize) -> f64 {
    at as f64 / last as f64 * WIDTH
}

/// The highest of some values.
pub(super) fn peak(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// The area below such a line.
pub(super) fn area(line: &str) -> String {
    let start = line.strip_prefix('M').and_then(|rest| rest.split_once(' '));
    match start {
        Some((x, _)) => format!("{line}L{WIDTH:.1} {HEIGHT:.1}L{x} {HEIGHT:.1}Z"),
        None => String::new(),
    }
}

/// A plot. `name` is the live value that moves it, `label` says in words what it shows.
pub(super) fn plot(name: &str, label: &str, line: &str) -> Markup {
    html! {
        svg .plot role="img" aria-label=(label) viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" {
            path .area data-live-area=(name) d=(area(line)) {}
            path .line data-live-line=(name) d=(line) vector-effect="non-scaling-stroke" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_at_the_right_and_keeps_peaks() {
        assert_eq!(line(&[], 10), "");
        assert_eq!(line(&[0.0, 4.0], 3), "M160.0 71.0L320.0 3.0");
        let mut many = vec![0.0; 1_000];
        many[500] = 9.0;
        let path = line(&many, 1_000);
        assert!(path.contains(" 3.0"), "{path}");
        assert!(path.matches('L').count() < MAX_POINTS);
        assert_eq!(
            area("M1.0 2.0L320.0 3.0"),
            "M1.0 2.0L320.0 3.0L320.0 72.0L1.0 72.0Z"
        );
    }
}
